"""Full disks, folders that cannot be written, folders that moved: what was complete is not harmed."""

import os
import shutil
import subprocess
import time

import pytest
from forked import Command, run
from test_kills import TRAIN, content, few_data, few_images, require_same

from softshare.errors import UserError
from softshare.files import remove_leftovers, write_text

RUNS = [*TRAIN, "--model", "swrn-22-1", "--validation", 0]


def alone(what):
    """A case that is left to `make torture`."""
    return pytest.param(what, marks=pytest.mark.torture_alone)


@pytest.fixture
def small_disk(tmp_path):
    """A file system in memory of its own; gives its place, and a function that gives it another size or mode."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a file system cannot be mounted here (needs root)")

    def remount(options):
        subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True, capture_output=True)

    yield place, remount
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def require_one_line(command, *parts):
    said = command.said.splitlines()[-1:]
    assert len(said) == 1 and said[0].startswith("softshare: error: ") and "Traceback" not in command.said, command.said
    assert all(part in said[0] for part in parts), said


# Kilobytes: from no room for a lock to room for all but the last file.
@pytest.mark.slow
@pytest.mark.attack("disk full while a run writes (checkpoint, history, weights, metrics)")
@pytest.mark.attempts(1, 12)
def test_a_run_on_a_disk_that_fills(attempt, full, small_disk, few_cifar, tmp_path):
    place, remount = small_disk
    command = [*TRAIN, "--epochs", 2, *few_data(tmp_path, few_cifar)]
    whole = Command([*command, "--out", tmp_path / "whole"], tmp_path / "log", prepare=few_images)
    assert whole.wait() == 0, whole.said
    # The run keeps 0.5 MB of weights, and a checkpoint of twice that while it trains.
    kilobytes = [700, 4, 1100, 8, 64, 256, 900, 1000, 1040, 1080, 1200, 1400][attempt]
    remount(f"size={kilobytes}k")
    first = Command([*command, "--out", place / "run"], tmp_path / "first", prepare=few_images)
    assert first.wait() == 2, "the disk did not fill" if first.process.exitcode == 0 else first.said
    require_one_line(first, str(place), "No space left")
    assert not (place / "run/metrics.json").exists() and not list((place / "run").glob(".*.tmp"))
    remount("size=20m")
    again = Command([*command, "--out", place / "run"], tmp_path / "again", prepare=few_images)
    assert again.wait() == 0, again.said
    require_same(place / "run", tmp_path / "whole")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A complete run at scale quick, its folding and its report."""
    folder = tmp_path_factory.mktemp("results")
    run_folder = folder / "results/quick/runs/digits/swrn-22-1/cifar/seed0"
    for command in (
        [*RUNS, "--epochs", 1, "--out", run_folder],
        ["fold", run_folder, "--device", "cpu", "--reestimate-on", 0],
        ["report", *asked(folder)],
        ["publish", *asked(folder), "--out", folder / "kept", "--allow-dirty"],
        commands(folder)["data write"],
    ):
        assert run(command, folder / "log") == 0, (folder / "log").read_text()
    return folder


def asked(folder):
    return ["--scale", "quick", "--results", folder / "results", "--experiments", "table1"]


def commands(folder):
    run_folder = folder / "results/quick/runs/digits/swrn-22-1/cifar/seed0"
    return {
        "fold": ["fold", run_folder, "--device", "cpu", "--reestimate-on", 0],
        "report": ["report", *asked(folder)],
        "table": ["table", "table1", *asked(folder)],
        "claims": ["claims", *asked(folder)],
        "publish": ["publish", *asked(folder), "--out", folder / "kept", "--allow-dirty"],
        "data write": ["data", "write", "digits", "--out", folder / "digits.beton", "--quiet"],
        "data check": ["data", "check", "digits", "--out", folder / "digits.json"],
    }


def blocks_of_the_largest_file(what, results, place, log):
    """Blocks that the largest of the files takes that a command writes, measured on the disk that is to be filled."""
    copy = shutil.copytree(results, place / "copy")
    before = {path: path.stat().st_ino for path in copy.rglob("*")}
    assert run(commands(copy)[what], log) == 0, log.read_text()
    # What is written whole and renamed is another file than the one that stood there.
    written = [path.stat() for path in copy.rglob("*") if path.is_file() and path.stat().st_ino != before.get(path)]
    shutil.rmtree(copy)
    return max(file.st_blocks for file in written) * 512 // os.statvfs(place).f_frsize  # st_blocks: of 512 bytes


@pytest.mark.slow
@pytest.mark.attack("disk full while report, table, claims, fold, publish, FFCV's file are written over what stands")
@pytest.mark.parametrize(
    "what", ["fold", *map(alone, ("report", "table", "claims", "publish", "data check", "data write"))]
)
@pytest.mark.attempts(1, 3)
def test_what_stands_survives_a_disk_that_is_full(what, attempt, results, small_disk, tmp_path):
    place, remount = small_disk
    remount("size=64m")
    # Blocks that are left: none, half and all but one of what its largest file takes.
    most = blocks_of_the_largest_file(what, results, place, tmp_path / "log of a copy")
    left_over = [0, most // 2, most - 1][attempt]
    if left_over in [0, most // 2, most - 1][:attempt]:
        pytest.skip(f"{what} writes files of a block or two: as full a disk was tried")
    shutil.copytree(results, place, dirs_exist_ok=True)
    before = content(place)
    stat = os.statvfs(place)
    with (place / "filler").open("wb") as filler:
        filler.write(b"x" * (stat.f_bavail - left_over) * stat.f_frsize)
    assert os.statvfs(place).f_bavail == left_over
    command = Command(commands(place)[what], tmp_path / "log")
    status = command.wait()
    (place / "filler").unlink()
    assert status == 2, "the disk did not fill" if status == 0 else command.said
    require_one_line(command, str(place), "No space left")
    now = content(place)
    again = Command(commands(place)[what], tmp_path / "log")
    assert again.wait() == 0, again.said
    after = content(place)
    # Each file is the one that stood there, or the new one, whole; none is lost, cut or left over.
    harmed = {name for name in now.keys() | before.keys() if now.get(name) not in (before.get(name), after.get(name))}
    assert not harmed and not [name for name in now if name.endswith(".tmp")]


@pytest.mark.slow
@pytest.mark.attack("results that cannot be written")
@pytest.mark.parametrize("what", ["train", *map(alone, ("fold", "report", "table", "claims", "publish"))])
def test_on_a_read_only_file_system(what, results, small_disk, tmp_path):
    place, remount = small_disk
    remount("size=64m")
    shutil.copytree(results, place, dirs_exist_ok=True)
    known = commands(place) | {"train": [*RUNS, "--epochs", 1, "--out", place / "new"]}
    before = content(place)
    remount("ro")
    command = Command(known[what], tmp_path / "log")
    assert command.wait() == 2, command.said
    require_one_line(command, str(place), "cannot be written")
    assert content(place) == before
    if what == "train":  # a complete run is read, and left as it is, also where nothing can be written
        run_folder = place / "results/quick/runs/digits/swrn-22-1/cifar/seed0"
        again = Command([*RUNS, "--epochs", 1, "--out", run_folder], tmp_path / "log")
        assert again.wait() == 0, again.said


@pytest.mark.torture_alone
@pytest.mark.attack("results moved elsewhere")
def test_results_that_moved(results, few_cifar, tmp_path):
    elsewhere = tmp_path / "else where's $(it)"
    shutil.copytree(results, elsewhere)
    was = content(results / "results/quick")
    for what in ("report", "fold"):
        moved = Command(commands(elsewhere)[what], tmp_path / "log")
        assert moved.wait() == 0, moved.said
    now = content(elsewhere / "results/quick")
    assert now["report.md"] == was["report.md"] and now["report.html"] == was["report.html"]
    command = [*TRAIN, "--epochs", 2, *few_data(tmp_path, few_cifar)]
    first = Command([*command, "--out", tmp_path / "a"], tmp_path / "log", prepare=few_images, watched=tmp_path / "a")
    assert first.wait() == 0
    half = first.changes - 12
    killed = Command(
        [*command, "--out", tmp_path / "b"],
        tmp_path / "log",
        prepare=few_images,
        watched=tmp_path / "b",
        die_before=half,
    )
    killed.wait()
    assert (tmp_path / "b/checkpoint.pt").exists()
    (tmp_path / "b").rename(tmp_path / "c")
    again = Command([*command, "--out", tmp_path / "c"], tmp_path / "log", prepare=few_images)
    assert again.wait() == 0, again.said
    require_same(tmp_path / "c", tmp_path / "a")


@pytest.mark.attack("a file system that does not rename over a file")
def test_without_rename_over_the_old_file_stays(tmp_path, monkeypatch):
    write_text(tmp_path / "file", "old")

    def refused(self, target):
        raise FileExistsError(17, "File exists", str(target))

    monkeypatch.setattr("pathlib.Path.replace", refused)
    with pytest.raises(UserError, match=r"file: cannot be written \(File exists\)"):
        write_text(tmp_path / "file", "new")
    assert content(tmp_path) == {"file": b"old"}


def test_what_a_killed_process_left_half_written_is_cleared_away(tmp_path):
    for name in (".model.safetensors.123.tmp", ".mine.tmp", "metrics.json", ".a.12.tmp.keep"):
        (tmp_path / name).write_text("x")
    remove_leftovers(tmp_path)
    assert sorted(content(tmp_path)) == [".a.12.tmp.keep", ".mine.tmp", "metrics.json"]


def test_what_was_left_half_written_for_an_hour_is_cleared_away_by_who_writes_next(tmp_path):
    left, at_work, other = (tmp_path / name for name in (".a.json.1.tmp", ".a.json.2.tmp", ".b.json.1.tmp"))
    for file in (left, at_work, other):
        file.write_text("x")
    for file in (left, other):
        os.utime(file, (time.time() - 4000,) * 2)
    write_text(tmp_path / "a.json", "{}")
    assert sorted(content(tmp_path)) == [".a.json.2.tmp", ".b.json.1.tmp", "a.json"]


@pytest.mark.slow
@pytest.mark.attack("disk full while a run writes (checkpoint, history, weights, metrics)")
@pytest.mark.parametrize("kilobytes", [0, 4])
def test_event_files_on_a_disk_that_is_full(kilobytes, small_disk, few_cifar, tmp_path):
    pytest.importorskip("tensorboard")
    place, remount = small_disk
    remount(f"size={kilobytes + 8}k")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/tensorboard").symlink_to(place)  # the run itself has room
    (place / "filling").write_bytes(bytes(8 << 10))
    command = [*TRAIN, "--epochs", 12, *few_data(tmp_path, few_cifar), "--tensorboard", "--out", tmp_path / "run"]
    first = Command(command, tmp_path / "first", prepare=few_images)
    assert first.wait() == 2, "the disk did not fill" if first.process.exitcode == 0 else first.said
    require_one_line(first, "tensorboard", "No space left")
    remount("size=20m")
    again = Command(command, tmp_path / "again", prepare=few_images)
    assert again.wait() == 0, again.said
