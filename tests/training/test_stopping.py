"""A run that is asked to stop, and two that want the same folder."""

import os
import platform
import signal
import subprocess
import sys
import threading
import time

import pytest

from softshare.errors import Stopped, UserError
from softshare.stopping import stops_cleanly
from softshare.training.lock import LOCK, alone_in

COMMAND = [sys.executable, "-m", "softshare", "train", "--model", "swrn-16-1-1", "--dataset", "digits", "--quiet"]
COMMAND += ["--threads", "1", "--device", "cpu"]


def _wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_says_so_and_goes_on_to_the_same_bits(number, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    subprocess.run([*COMMAND, "--epochs", "3", "--out", whole], check=True, stdout=subprocess.DEVNULL)
    command = [*COMMAND, "--epochs", "3", "--out", stopped]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    _wait_for(lambda: (stopped / "checkpoint.pt").exists() or process.poll() is not None)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    if process.returncode != 0:  # else it was done before the signal came
        assert process.returncode == 128 + number
        assert said.count("\n") == 1 and f"stopped by {number.name}" in said and "goes on" in said
        assert not (stopped / "metrics.json").exists() and not (stopped / LOCK).exists()
        assert not list(stopped.glob(".*.tmp"))
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for name in ("model.safetensors", "metrics.json", "similarity.npz"):
        assert (whole / name).read_bytes() == (stopped / name).read_bytes(), name


@pytest.mark.attack("two processes on one run folder")
@pytest.mark.slow
def test_a_second_process_is_refused_and_the_first_goes_on(tmp_path):
    command = [*COMMAND, "--epochs", "40", "--out", tmp_path / "run"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _wait_for(lambda: (tmp_path / "run" / "checkpoint.pt").exists())
        second = subprocess.run(command, capture_output=True, text=True)
        assert second.returncode == 2 and second.stderr.count("\n") == 1
        assert f"process: '{first.pid} on {platform.node()}': is being trained by another process" in second.stderr
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()
    with alone_in(tmp_path / "run"):  # the lock went with the process
        pass


def test_a_folder_is_held_once_and_given_back(tmp_path):
    with alone_in(tmp_path):
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()} on {platform.node()}"
        with pytest.raises(UserError, match="another process"), alone_in(tmp_path):
            pass
    assert not (tmp_path / LOCK).exists()
    with pytest.raises(ZeroDivisionError), alone_in(tmp_path):
        raise ZeroDivisionError
    with alone_in(tmp_path):
        pass


def test_signals_are_heeded_inside_and_restored_outside():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped, match="SIGTERM"), stops_cleanly():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    assert signal.getsignal(signal.SIGTERM) is before
    outcome = []

    def elsewhere():
        with stops_cleanly():
            outcome.append(signal.getsignal(signal.SIGTERM) is before)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert outcome == [True]
