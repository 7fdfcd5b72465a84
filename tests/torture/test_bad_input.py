"""Bad input at the command line: one line, exit status 2, nothing half-written, no traceback."""

import contextlib
import shutil
import signal
import time
from dataclasses import replace

import pytest
from bad_input import CASES, FILE, SHARED, placed
from forked import Command, run

from softshare.cli import main
from softshare.data.catalogue import FACTS


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A complete run, and one that was killed after its first epoch."""
    folder = tmp_path_factory.mktemp("originals")
    assert run([*SHARED, "--out", folder / "run"], folder / "log") == 0, (folder / "log").read_text()
    killed = Command([*SHARED, "--epochs", 50, "--out", folder / "killed"], folder / "log")
    while not (folder / "killed" / FILE).exists() and killed.process.is_alive():
        time.sleep(0.01)
    killed.send(signal.SIGKILL)
    killed.wait()
    for left in (folder / "killed").glob(".*"):
        left.unlink()
    return folder


@pytest.mark.attack("bad input: commands, names, recipes, runs, checkpoints, images")
@pytest.mark.parametrize("case", CASES)
def test_one_line_and_nothing_is_written(case, originals, few_cifar, tmp_path, capsys, monkeypatch):
    bad = CASES[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(FACTS, "cifar10", replace(FACTS["cifar10"], train_per_class=5, test_per_class=2))
    words = " ".join(bad.command)
    place = tmp_path
    for name in ("run", "killed"):
        if f"{{{name}}}" in words:
            place = shutil.copytree(originals / name, tmp_path / name)
    if "{cifar}" in words:
        place = few_cifar(tmp_path / "cifar", "class folders")
    if bad.spoil:
        bad.spoil(place)
    command = placed(bad.command, {name: tmp_path / name for name in ("run", "killed", "cifar")} | {"here": tmp_path})
    if command[:1] == ["train"] and "--out" not in command:
        command += ["--out", str(tmp_path / "out")]
    before = content(tmp_path)
    with not_for_ever():
        assert status_of(command) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("softshare: error: "), said
    assert all(part in said for part in bad.said), said
    assert content(tmp_path) == before, "something was written"


def status_of(command):
    try:
        return main(command)
    except SystemExit as left:  # argparse's way
        return left.code


@contextlib.contextmanager
def not_for_ever(seconds=120):
    """Ends what waits for bytes that never come."""

    def stop(*_):
        raise AssertionError(f"hung for {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def content(folder):
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None  # nor of a pipe
        for path in folder.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }


def test_there_are_enough_cases():
    assert len(CASES) >= 80


@pytest.mark.attack("labels swapped under a run: the fingerprint tells")
def test_swapped_labels_are_other_data(few_cifar, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(FACTS, "cifar10", replace(FACTS["cifar10"], train_per_class=5, test_per_class=2))
    source, cache = few_cifar(tmp_path / "cifar", "class folders"), tmp_path / "cache"
    data = ["--data", str(source), "--cache", str(cache), "--device", "cpu"]
    train = ["train", "--model", "swrn-16-1-1", "--dataset", "cifar10", "--quiet", "--threads", "1", *data]
    assert main([*train, "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    assert main(["evaluate", str(tmp_path / "run"), *data]) == 0
    one, other = (sorted((source / "test" / name).iterdir())[0] for name in ("cat", "dog"))
    cat, dog = one.read_bytes(), other.read_bytes()
    one.write_bytes(dog)
    other.write_bytes(cat)
    capsys.readouterr()
    for command in (
        ["evaluate", str(tmp_path / "run"), *data],
        [*train, "--epochs", "1", "--out", str(tmp_path / "run")],
    ):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and ("fingerprint" in said or "another dataset" in said), said
