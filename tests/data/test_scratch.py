"""A node's own copy: made once, whole, verified; and what happens where it cannot be made."""

import os
import shutil
import threading
from types import SimpleNamespace

import pytest

from softshare.data import scratch
from softshare.data.scratch import VARIABLE, local_copy


@pytest.fixture
def shared(tmp_path):
    folder = tmp_path / "shared"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "a.bin").write_bytes(b"a" * 1000)
    (folder / "b.bin").write_bytes(b"b" * 10)
    return folder


@pytest.fixture
def node(tmp_path, monkeypatch):
    monkeypatch.setenv("NODE_DISK", str(tmp_path / "node"))
    monkeypatch.setenv(VARIABLE, "$NODE_DISK/fast")
    return tmp_path / "node" / "fast"


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.bin")}


def test_without_a_name_nothing_is_copied(shared, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert local_copy(shared) == shared


def test_a_folder_is_copied_once(shared, node, monkeypatch):
    copy = local_copy(shared)
    assert copy.is_relative_to(node) and copy.name == "shared" and content(copy) == content(shared)
    monkeypatch.setattr(scratch, "_copied", lambda *_: pytest.fail("copied again"))
    assert local_copy(shared) == copy


def test_a_file_is_copied_under_its_name(shared, node):
    copy = local_copy(shared / "b.bin")
    assert copy.is_relative_to(node) and copy.name == "b.bin" and copy.read_bytes() == b"b" * 10


def test_a_changed_source_is_copied_anew(shared, node):
    local_copy(shared)
    (shared / "b.bin").write_bytes(b"c" * 20)
    assert content(local_copy(shared)) == content(shared)


def test_a_truncated_copy_is_made_anew(shared, node):
    (local_copy(shared) / "b.bin").write_bytes(b"b")
    assert content(local_copy(shared)) == content(shared)


def test_a_copy_that_was_not_ended_is_not_used(shared, node, monkeypatch):
    real = scratch._copied

    def broken(source, copy):
        if source.name == "b.bin":
            raise OSError(28, "No space left on device")
        return real(source, copy)

    monkeypatch.setattr(scratch, "_copied", broken)
    assert local_copy(shared) == shared
    assert not [path for path in node.rglob("*") if path.suffix in (".bin", ".tmp")]


def test_a_copy_that_is_not_what_was_read_is_refused(shared, node, monkeypatch, capsys):
    monkeypatch.setattr(scratch, "_digest", lambda _: "another")
    assert local_copy(shared) == shared
    assert "is not what was read" in capsys.readouterr().err


@pytest.mark.parametrize(("named", "words"), [("$NO_SUCH_THING", "does not have"), ("here", "no absolute path")])
def test_a_name_that_cannot_be_is_told_in_a_line(shared, monkeypatch, capsys, named, words):
    monkeypatch.setenv(VARIABLE, named)
    assert local_copy(shared) == shared
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_where_there_is_no_room_the_source_is_read(shared, node, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    assert local_copy(shared) == shared
    assert "has not the room" in capsys.readouterr().err


def test_many_at_once_copy_once(shared, node, monkeypatch):
    copied, real = [], scratch._copied
    monkeypatch.setattr(scratch, "_copied", lambda source, copy: copied.append(source) or real(source, copy))
    found = []
    threads = [threading.Thread(target=lambda: found.append(local_copy(shared))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(copied) == 2


def test_the_source_is_only_read(shared, node):
    before = {path: path.stat().st_mtime_ns for path in shared.rglob("*")}
    for path in shared.rglob("*"):
        path.chmod(0o555)
    local_copy(shared)
    assert {path: path.stat().st_mtime_ns for path in shared.rglob("*")} == before
    for path in [shared, *shared.rglob("*")]:
        path.chmod(0o755)


@pytest.mark.attack("files that would run code, at every place that is read")
@pytest.mark.parametrize("whose", ["everybody's", "a link"])
def test_a_folder_that_others_may_fill_is_not_believed(whose, shared, node, tmp_path, capsys):
    place = node / f"softshare-{os.getuid()}"
    node.mkdir(parents=True)
    if whose == "a link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.mkdir()
        place.chmod(0o777)
    assert local_copy(shared) == shared
    assert "it is read where it lies" in capsys.readouterr().err
