"""The lock of a run's folder: it grows no older while its process lives, and goes with it."""

import os
import subprocess
import sys
import threading
import time

import pytest

from softshare.training import lock
from softshare.training.lock import LOCK, alone_in


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.02)


def beating():
    return [thread for thread in threading.enumerate() if thread.name == "softshare-lock"]


def wait_for(true, seconds=20.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def test_a_lock_is_kept_fresh_until_it_is_given_back(fast, tmp_path):
    file = tmp_path / LOCK
    with alone_in(tmp_path):
        words = file.read_text()
        os.utime(file, (1.0, 1.0))
        wait_for(lambda: file.stat().st_mtime > time.time() - 60)
        assert file.read_text() == words
    wait_for(lambda: not beating())
    assert not file.exists()


def test_a_lock_that_is_gone_is_not_made_anew_and_nothing_is_said_of_it(fast, tmp_path, capfd):
    with alone_in(tmp_path):
        (tmp_path / LOCK).unlink()
        time.sleep(0.2)
        assert beating() and not (tmp_path / LOCK).exists()
    assert capfd.readouterr() == ("", "")


def test_an_error_ends_it_too(fast, tmp_path):
    with pytest.raises(RuntimeError), alone_in(tmp_path):
        raise RuntimeError
    wait_for(lambda: not beating())


def test_it_keeps_no_process_alive(tmp_path):
    code = (
        "import pathlib, sys; from softshare.training.lock import alone_in;"
        "held = alone_in(pathlib.Path(sys.argv[1])); held.__enter__()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (process.returncode, process.stderr) == (0, "")
