"""SIGINT and SIGTERM to commands that do not train: one line, 128 + the signal, nothing half-written."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.attack("SIGTERM or SIGINT to other commands")]

# The command stops itself within its work, when a module is imported or a function called: no time is guessed.
STOPPING = """
import os, signal, sys
import {module}
real = {module}.{name}
def stopping(*arguments, **named):
    os.kill(os.getpid(), {number})
    return real(*arguments, **named)
{module}.{name} = stopping
from softshare.cli import main
sys.exit(main(sys.argv[1:]))
"""
COMMANDS = {
    "data check": ("softshare.data.images", "load_images", ["data", "check", "digits", "--out", "{here}/facts.json"]),
    "preview": ("matplotlib.figure", "Figure", ["data", "shortest-paths", "--preview", "{here}/paths.png"]),
    "report": ("softshare.evidence.report", "write_report", ["report", "--results", "{here}"]),
    "claims": ("softshare.plan", "load_plan", ["claims", "--results", "{here}"]),
    "forecast": ("softshare.forecast.counting", "count", ["forecast", "--results", "{here}", "--out"]),
    "status": ("softshare.evidence.runs.status", "read_status", ["status", "--results", "{here}"]),
}


def _alone(what):
    """A case that is left to `make torture`."""
    return pytest.param(what, marks=pytest.mark.torture_alone)


SIGNALS = [_alone(signal.SIGINT), signal.SIGTERM]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("what", [_alone(what) if what not in ("status", "data check") else what for what in COMMANDS])
def test_a_command_is_stopped_in_its_work(what, number, tmp_path):
    module, name, arguments = COMMANDS[what]
    code = STOPPING.format(module=module, name=name, number=int(number))
    command = [sys.executable, "-c", code, *(each.format(here=tmp_path) for each in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (128 + number, ""), done.stderr
    assert done.stderr == f"softshare: stopped by {number.name}; nothing is left half-written\n"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_work_in_a_process_of_its_own_is_stopped_with_its_group(number, tmp_path):
    """As Ctrl-C does it on a terminal: to the command and to the process that writes for it."""
    command = [sys.executable, "-m", "softshare", "data", "write", "digits", "--out", tmp_path / "digits.beton"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".*.tmp")):
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
    os.killpg(process.pid, number)
    said, told = process.communicate(timeout=60)
    assert process.returncode == 128 + number and said == "", told
    assert told.count("\n") == 1 and told.startswith(f"softshare: stopped by {number.name}; "), told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("pause", [_alone(0.02), 0.15, _alone(0.4)])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_second_signal_changes_nothing(number, pause, training):
    process, _ = training()
    process.send_signal(number)
    time.sleep(pause)
    with contextlib.suppress(ProcessLookupError):  # it has ended
        process.send_signal(number)
    _, told = process.communicate(timeout=60)
    line = f"softshare: stopped by {number.name}; the same command goes on from the last checkpoint\n"
    assert (process.returncode, told) == (128 + number, line)


def test_a_training_whose_reader_goes_away_does_not_end_well(training):
    process, run = training(quiet=False)
    process.stdout.readline()
    process.stdout.close()
    told = process.stderr.read()
    assert process.wait(60) == 128 + signal.SIGPIPE, told
    line = "softshare: stopped, for nobody reads what it prints; the same command goes on from the last checkpoint\n"
    assert told == line and (run / "checkpoint.pt").exists()


@pytest.fixture
def training(tmp_path):
    """Starts a training of many epochs, and waits for its first checkpoint."""
    started = []

    def start(quiet=True):
        arguments = ["train", "--model", "swrn-16-1-1", "--dataset", "digits", "--epochs", "500", "--device", "cpu"]
        arguments += ["--threads", "1", "--out", tmp_path / "run", *(["--quiet"] if quiet else [])]
        command = [sys.executable, "-m", "softshare", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        deadline = time.monotonic() + 120
        while not (tmp_path / "run/checkpoint.pt").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        return process, tmp_path / "run"

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_training_with_processes_that_load_is_stopped_with_its_group(number, tmp_path):
    """As terminals and schedulers do it: the processes that load images get the signal too."""
    arguments = ["train", "--model", "swrn-16-1-1", "--dataset", "digits", "--epochs", "500", "--quiet"]
    arguments += ["--threads", "2", "--loader", "torchvision", "--device", "cpu", "--out", tmp_path / "run"]
    command = [sys.executable, "-m", "softshare", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "run/checkpoint.pt").exists():
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.05)
    os.killpg(process.pid, number)
    said, told = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + number, ""), told
    # Python's own thread that hands memory from process to process may end with words of its own.
    line = f"softshare: stopped by {number.name}; the same command goes on from the last checkpoint"
    assert told.splitlines()[0] == line and told.count("softshare: ") == 1, told
