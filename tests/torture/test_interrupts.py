"""SIGINT and SIGTERM to commands that do not train: one line, 128 + the signal, nothing half-written."""

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
    "status": ("softshare.evidence.status", "read_status", ["status", "--results", "{here}"]),
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("what", COMMANDS)
def test_a_command_is_stopped_in_its_work(what, number, tmp_path):
    module, name, arguments = COMMANDS[what]
    code = STOPPING.format(module=module, name=name, number=int(number))
    command = [sys.executable, "-c", code, *(each.format(here=tmp_path) for each in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (128 + number, ""), done.stderr
    assert done.stderr == f"softshare: stopped by {number.name}; nothing is left half-written\n"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
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
