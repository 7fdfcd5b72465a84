"""Work in a process of its own: its result, its errors, and that nothing it does can hang or kill who asked."""

import contextlib
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from softshare.data import own_process
from softshare.data.own_process import in_own_process, leave_signals
from softshare.errors import UserError


def counted(report, count):
    for _ in range(count):
        report(1)
    return count * 2


def asleep(report):
    report(1)
    time.sleep(3600)


def refusing(_):
    raise UserError("is too old", file="it")


def failing(_):
    raise ValueError("a fault of ours")


def dying(_):
    os._exit(7)


def start(work, *arguments, limit=600.0):
    return in_own_process(work, *arguments, total=3, label="work", limit=limit, progress=False)


def test_gives_what_the_work_gave():
    assert start(counted, 3) == 6


def test_a_hang_ends_in_one_line():
    began = time.monotonic()
    with pytest.raises(UserError, match=r"work: no progress within 3 s"):
        start(asleep, limit=3.0)
    assert time.monotonic() - began < 3600


def test_an_error_comes_through_as_it_was():
    with pytest.raises(UserError, match=r"^it: is too old$"):
        start(refusing)


def test_a_fault_of_ours_shows_its_traceback():
    with pytest.raises(RuntimeError, match=r"(?s)failing.*ValueError: a fault of ours"):
        start(failing)


def test_a_process_that_dies_is_told():
    with pytest.raises(UserError, match="died with exit code 7"):
        start(dying)


UNGUARDED = """
import operator

from softshare.data.own_process import in_own_process

in_own_process(operator.call, len, bytes(10**6), total=1, label="work", limit=600.0, progress=False)
"""


def test_a_program_that_a_process_would_run_anew_is_told_so_however_much_it_hands_over(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(UNGUARDED)
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert re.search(r"work: its process died with exit code 1; .*__main__", done.stderr)


HANGS = """
import operator
import time

from softshare.data.own_process import in_own_process

if __name__ != "__main__":
    time.sleep(3600)  # in its process, before it takes its work

in_own_process(operator.call, len, bytes(10**7), total=1, label="work", limit=1.0, progress=False)
"""


def test_a_process_that_never_takes_its_work_is_given_up_however_much_it_is_handed(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(HANGS)
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("UserError: work: no progress within 1 s; is the disk slow or full? "
                                                 "see --time-limit")  # fmt: skip


def left_to_itself(ready, stays):
    own_process._STAYS = stays
    leave_signals()
    ready.set()
    while True:
        time.sleep(3600)  # a handled signal does not end it


@contextlib.contextmanager
def leaving_signals(stays):
    """A process that leaves signals to another, once it does so."""
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=left_to_itself, args=(ready, stays), daemon=True)
    process.start()
    assert ready.wait(60)
    yield process
    process.kill()
    process.join()


def test_a_process_that_leaves_signals_to_another_ends_when_that_one_s_last_word_was_to_end():
    with leaving_signals(1) as process:
        os.kill(process.pid, signal.SIGINT)
        os.kill(process.pid, signal.SIGTERM)
        process.join(60)
        assert process.exitcode == -signal.SIGALRM


def test_a_process_that_leaves_signals_to_another_is_there_while_that_one_obeys_them():
    with leaving_signals(3600) as process:
        os.kill(process.pid, signal.SIGTERM)
        process.join(0.5)
        assert process.exitcode is None
