"""Processes killed at any instant: what was complete stays, what is started again ends with the same bits."""

import csv
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from forked import Command, run

from softshare.data.catalogue import FACTS

EPOCHS = 3
TRAIN = ["train", "--model", "swrn-16-1-1", "--dataset", "digits", "--epochs", EPOCHS, "--quiet", "--threads", 1]
TRAIN += ["--device", "cpu", "--validation", "0.1"]
PATHS = ["train", "--model", "scnn-8-1", "--dataset", "shortest-paths", "--quiet"]
PATHS += ["--threads", 1, "--device", "cpu"]
FILES = ("metrics.json", "model.safetensors", "similarity.npz", "validation_indices.json", "predictions.npz")


def left(folder):
    """All that a run leaves and that must be the same: its files, and its history but for the clock."""
    with (folder / "history.csv").open() as lines:
        history = [{key: value for key, value in row.items() if "second" not in key} for row in csv.DictReader(lines)]
    return history, {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}


def require_same(folder, whole):
    assert left(folder) == left(whole)
    names = {path.name for path in folder.iterdir()} - {".lock"}  # of a dead process: it holds nobody up
    assert names == {path.name for path in whole.iterdir()}, "a kill left something behind"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody disturbed, and how long it took."""
    folder = tmp_path_factory.mktemp("whole")
    begun = time.monotonic()
    assert run([*TRAIN, "--out", folder / "run"], folder / "log") == 0, (folder / "log").read_text()
    return folder / "run", time.monotonic() - begun


@pytest.mark.slow
@pytest.mark.attack("SIGKILL of training at a random instant")
@pytest.mark.attempts(1, 25)
def test_killed_at_a_random_instant(attempt, whole, tmp_path):
    undisturbed, seconds = whole
    command = [*TRAIN, "--out", tmp_path / "run"]
    instant = random.Random(attempt).uniform(0, seconds)
    while True:
        killed = Command(command, tmp_path / "log")
        time.sleep(instant)
        killed.send(signal.SIGKILL)
        status = killed.wait()
        if status == -signal.SIGKILL:
            break
        assert status == 0, killed.said
        shutil.rmtree(tmp_path / "run")  # it was done before: that is no kill
        instant *= 0.8
    assert run(command, tmp_path / "log") == 0, (tmp_path / "log").read_text()
    require_same(tmp_path / "run", undisturbed)


@pytest.mark.torture_alone  # the suite's are in test_interrupts.py; tests/training/test_stopping.py, of the long ones
@pytest.mark.attack("SIGTERM or SIGINT to training at a random instant")
@pytest.mark.attempts(1, 10)
def test_asked_to_stop_at_a_random_instant(attempt, whole, tmp_path):
    """Once softshare heeds signals: one line, 128 + the signal. Before, Python's own way alone, and nothing is made."""
    if not Path("/proc/self/status").exists():
        pytest.skip("whether a process heeds a signal is told by /proc alone")
    undisturbed, seconds = whole
    number, random_instants = (signal.SIGTERM, signal.SIGINT)[attempt % 2], random.Random(100 + attempt)
    out, log = tmp_path / "run", tmp_path / "log"
    command = [*TRAIN, "--out", out]
    for _ in range(20):
        stopped = Command(command, log)
        time.sleep(random_instants.uniform(0, seconds))
        # Both signals get their handlers at once, and SIGTERM had none before.
        heeded = stopped.heeds(signal.SIGTERM)
        stopped.send(number)
        status = stopped.wait()
        if status != 0 and not (out / "metrics.json").exists():
            break
        # The run was complete before, or Python had not yet begun to listen: that is no stop.
        require_same(out, undisturbed)
        shutil.rmtree(out)
        log.unlink(missing_ok=True)
    else:
        pytest.fail("20 signals came too late")
    if status == 128 + number:
        assert stopped.said.count("\n") == 1 and f"stopped by {number.name}" in stopped.said
        assert not list(out.glob(".*")), "a lock or a temporary file was left"
    else:
        assert not heeded, (status, stopped.said)
        assert not out.exists(), "something was made while signals were not yet heeded"
        assert status == (-number if number == signal.SIGTERM else 1), stopped.said
        last = stopped.said.splitlines()[-1:]
        assert last == ([] if number == signal.SIGTERM else ["KeyboardInterrupt"]), stopped.said
    assert run(command, log) == 0, log.read_text()
    require_same(out, undisturbed)


@pytest.mark.slow
@pytest.mark.attack("SIGKILL of training before each change it makes on disk")
@pytest.mark.parametrize("task", ["images", pytest.param("paths", marks=pytest.mark.torture_alone)])
def test_killed_before_each_change_on_disk(task, full, few_cifar, tmp_path, tries):
    command = few_paths(tmp_path) if task == "paths" else [*TRAIN, "--epochs", 2, *few_data(tmp_path, few_cifar)]

    def train(out, **options):
        return Command([*command, "--out", out], tmp_path / "log", prepare=few_images, watched=out, **options)

    whole = train(tmp_path / "whole")
    assert whole.wait() == 0, whole.said
    # Every epoch makes the same changes; the suite looks at some of the last.
    instants = range(1, whole.changes + 1) if full else range(1, whole.changes + 1)[-9::6]
    for instant in tries.each(instants):
        out = tmp_path / f"killed-{instant}"
        killed = train(out, die_before=instant)
        assert killed.wait() == -signal.SIGKILL, killed.said
        again = train(out)
        assert again.wait() == 0, again.said
        require_same(out, tmp_path / "whole")
        shutil.rmtree(out)


def few_data(folder, few_cifar):
    return ["--dataset", "cifar10", "--data", few_cifar(folder / "source"), "--cache", folder / "cache"]


def few_paths(folder):
    """The command of a run on shortest paths that takes a second."""
    (folder / "few.yaml").write_text(
        "extends: paths\ntask: shortest-paths\n"
        "settings: {side: 16, windows: [3, 5], train: 16, test: 8, epochs: 1, batch_size: 8}\n"
    )
    return [*PATHS, "--recipe", folder / "few.yaml"]


def few_images():
    """CIFAR-10 of 5 training and 2 test images a class."""
    FACTS["cifar10"] = replace(FACTS["cifar10"], train_per_class=5, test_per_class=2)


@pytest.mark.slow
@pytest.mark.attack("SIGKILL of data preparation before each change it makes on disk")
@pytest.mark.parametrize("form", [pytest.param("batches", marks=pytest.mark.torture_alone), "class folders"])
def test_data_preparation_killed_before_each_change(form, few_cifar, tmp_path, tries):
    source = few_cifar(tmp_path / "source", form)

    def arguments(where):
        return ["data", "check", "cifar10", "--data", source, "--cache", where / "cache", "--out", where / "facts.json"]

    def prepared(where, **options):
        return Command(arguments(where), tmp_path / "log", prepare=few_images, watched=where, **options)

    whole = prepared(tmp_path / "whole")
    assert whole.wait() == 0, whole.said
    facts = (tmp_path / "whole/facts.json").read_bytes()
    for instant in tries.each(range(1, whole.changes + 1)):
        where = tmp_path / f"killed-{instant}"
        assert prepared(where, die_before=instant).wait() == -signal.SIGKILL
        assert not (where / "facts.json").exists() or (where / "facts.json").read_bytes() == facts
        again = prepared(where)
        assert again.wait() == 0, again.said
        assert (where / "facts.json").read_bytes() == facts


@pytest.mark.slow
@pytest.mark.attack("SIGKILL of report, publish and fold before each change they make on disk")
@pytest.mark.parametrize(
    "what", [*(pytest.param(what, marks=pytest.mark.torture_alone) for what in ("fold", "report")), "publish"]
)
def test_what_reads_runs_killed_before_each_change(what, full, tmp_path, tries):
    results, log = tmp_path / "results/quick", tmp_path / "log"
    run_folder = results / "runs/digits/swrn-22-1/cifar/seed0"
    settings = ["--model", "swrn-22-1", "--epochs", 1, "--validation", 0, "--out", run_folder]
    assert run([*TRAIN, *settings], log) == 0, log.read_text()
    before = left(run_folder)
    scale = ["--scale", "quick", "--results", tmp_path / "results", "--experiments", "table1"]
    report = ["report", *scale]
    command, place, last = {
        "fold": (["fold", run_folder, "--device", "cpu", "--reestimate-on", 0], run_folder / "folding", "folding.json"),
        "report": (report, results, "report.html"),
        "publish": (["publish", *scale, "--out", tmp_path / "kept", "--allow-dirty"], tmp_path / "kept", "quick"),
    }[what]
    if what == "publish":
        assert run(report, log) == 0, log.read_text()
    undisturbed = Command(command, log, watched=place)
    assert undisturbed.wait() == 0, undisturbed.said
    final = content(place / last)
    instants = range(1, undisturbed.changes + 1)
    # Publishing builds pages where nobody looks, dozens of changes that are alike, and puts them in place at the end.
    instants = [*instants[:-12][:: max(1, len(instants) // 24)], *instants[-12:]] if full else instants[-2:]
    for instant in tries.each(instants):
        killed = Command(command, log, watched=place, die_before=instant)
        assert killed.wait() == -signal.SIGKILL, killed.said
        # What was complete before is there, whole: for an instant under the name that the next call takes it from.
        assert final in (content(place / last), content(place / f"{last}.before")), instant
        assert run(command, log) == 0, log.read_text()
        assert content(place / last) == final
        assert left(run_folder) == before
    if what == "publish":
        assert [path.name for path in place.iterdir()] == ["quick"], "a kill left something behind"


def content(place):
    """The bytes of a file, or of each file in a folder; None where there is none."""
    if place.is_dir():
        return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    return place.read_bytes() if place.is_file() else None
