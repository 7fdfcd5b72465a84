"""What stands where an output is to go, and is not a regular file: it stays as it is."""

import os
import socket
from pathlib import Path

import pytest

from softshare.cli import main
from softshare.errors import UserError
from softshare.files import write_json, written_whole
from softshare.lock import locked

pytestmark = pytest.mark.attack("outputs where a link, a pipe, a socket or a folder stands")


def place_link(path):
    target = path.with_name("of-another")
    target.write_text("mine")
    path.symlink_to(target)


def place_socket(path):
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(path.parent)  # the path of a socket may have some hundred characters
        listening.bind(path.name)
        os.chdir(here)


PLACED = {
    "link": place_link,
    "link to nothing": lambda path: path.symlink_to(path.with_name("nothing")),
    "pipe": os.mkfifo,
    "socket": place_socket,
    "folder": lambda path: path.mkdir(),
}


def kept(path):
    """What tells that nobody changed a path."""
    found = path.lstat()
    return found.st_ino, found.st_mode, path.readlink() if path.is_symlink() else None


@pytest.mark.parametrize("what", PLACED)
def test_it_is_not_replaced(what, tmp_path):
    path = tmp_path / "out.json"
    PLACED[what](path)
    before = kept(path)
    with pytest.raises(UserError, match=r"out.json: is not a regular file, and is not replaced; name another path"):
        write_json(path, {})
    with pytest.raises(UserError, match="is not a regular file"), written_whole(path):
        pytest.fail("nothing is made that has no place")
    assert kept(path) == before and not list(tmp_path.glob(".*"))
    assert what != "link" or (tmp_path / "of-another").read_text() == "mine"


@pytest.mark.parametrize("what", [*PLACED, "second name"])
def test_it_is_not_written_to_as_a_lock(what, tmp_path):
    path, thesis = tmp_path / ".lock", tmp_path / "thesis.txt"
    thesis.write_text("years of work")
    if what == "second name":
        path.hardlink_to(thesis)
    else:
        PLACED[what](path)
    before = kept(path)
    with pytest.raises(UserError, match=r"\.lock: cannot be written"), locked(path, tmp_path, "trained"):
        pytest.fail("held by nobody")
    assert kept(path) == before and thesis.read_text() == "years of work"
    assert what != "link" or (tmp_path / "of-another").read_text() == "mine"
    assert what != "link to nothing" or not (tmp_path / "nothing").exists()


def test_a_link_in_place_of_a_run_s_foldings_is_not_followed(tmp_path, capsys):
    run, other = tmp_path / "run", tmp_path / "other"
    command = ["train", "--model", "swrn-16-1-1", "--dataset", "digits", "--quiet", "--threads", "1", "--device", "cpu"]
    assert main([*command, "--epochs", "1", "--out", str(run)]) == 0
    other.mkdir()
    (run / "folding").symlink_to(other)
    assert main(["fold", str(run), "--device", "cpu", "--reestimate-on", "0"]) == 2
    assert "folding: is a link, which is not followed; say --out" in capsys.readouterr().err
    assert not list(other.iterdir())


@pytest.mark.parametrize("what", ["link", "pipe"])
@pytest.mark.parametrize(
    "command", [["data", "check", "digits", "--out"], ["data", "shortest-paths", "--examples", "1", "--preview"]]
)
def test_the_commands_say_so_in_one_line(command, what, tmp_path, capsys):
    path = tmp_path / "out.png"
    PLACED[what](path)
    before = kept(path)
    assert main([*command, str(path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "out.png: is not a regular file, and is not replaced" in said
    assert kept(path) == before
