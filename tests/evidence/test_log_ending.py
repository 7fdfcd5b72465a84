"""How an attempt ended, told from logs as torchrun, Slurm, shells and Python write them."""

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softshare.evidence.runs.log_ending import KILLED, End, Ending, ending_of, read_ending

TRAINED = "epoch 1/8: train loss 1.500, test error 70.50 %, 100 images/s, 3.0 min left\n"
PATHS = "epoch 1/8, phase 1: train loss 0.9000, test F1 0.500, 3.0 min left\n"
OURS = "softshare: error: /nope: holds no cifar10; set the dataset's path"
STOPPED = "softshare: stopped by SIGTERM; the same command goes on from the last checkpoint"
OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB."
LIMIT = "slurmstepd: error: *** JOB 12 ON n1 CANCELLED AT 2026-01-02T03:04:05 DUE TO TIME LIMIT ***"
TERMINATED = "/usr/bin/bash: line 2:  4242 Terminated              python -m softshare train --model a"
ILLEGAL = "/usr/bin/bash: line 2:  4242 Illegal instruction     (core dumped) python -m softshare train"
SIGNAL = "torch.distributed.elastic.multiprocessing.api.SignalException: Process 833 got signal: 15"


def traceback(exception, speaker=""):
    lines = ["Traceback (most recent call last):", '  File "run.py", line 8, in <module>', "    step()", exception]
    return "".join(f"{speaker}{line}\n" for line in lines)


def trailer(first="1 (pid: 723) ", traceback_of_first="To enable traceback see: https://pytorch.org/docs"):
    """What torchrun ends with: two processes, the second of which it told to end."""
    rule = "=" * 60
    told = (
        "W1125 22:16:36.481000 703 torch/distributed/elastic/multiprocessing/api.py:1028] Sending process 722 SIGTERM\n"
    )
    end = f"""\
{rule}
softshare FAILED
{rule.replace("=", "-")}
Failures:
[1]:
  rank      : 0 (local_rank: 0)
  exitcode  : -15 (pid: 722)  (SIGTERM)
  traceback : Signal 15 (SIGTERM) received by PID 722
{rule.replace("=", "-")}
Root Cause (first observed failure):
[0]:
  time      : 2026-11-25_22:16:36
  exitcode  : {first}
  error_file: <N/A>
  traceback : {traceback_of_first}
{rule}
"""
    return told + traceback("torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ") + end


KILL = "Signal 9 (SIGKILL) received by PID 723"
LOST = "RuntimeError: [gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:38567."
FAILED = {
    "ours under torchrun": (f"{OURS}\n{STOPPED}\n" + trailer("2 (pid: 7) "), OURS),
    "ours before much else": (f"{OURS}\n" + "a line of another process\n" * 500, OURS),
    "a traceback": (TRAINED + traceback(OOM), OOM),
    "a traceback under torchrun": (
        TRAINED + traceback(OOM, "[rank1]: ") + traceback(LOST, "[rank0]: ") + trailer(),
        OOM,
    ),
    "one process lost, the others told to end": (
        traceback("ValueError: bad") + f"{STOPPED}\n" + trailer(),
        "ValueError: bad",
    ),
    "a traceback of a traceback": (
        traceback("KeyError: 1") + "\nDuring handling of the above exception, another exception occurred:\n\n"
        + traceback("RuntimeError: CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be"),
        "RuntimeError: CUDA error: an illegal memory access was encountered",
    ),
    "a traceback whose head is lost": ('  File "run.py", line 8\n' + OOM + "\n", OOM),
    "a traceback, then Slurm": (traceback(OOM) + LIMIT + "\n", OOM),
    "a process killed under torchrun": (
        TRAINED + traceback(LOST, "[rank0]: ") + trailer("-9 (pid: 723)  (SIGKILL)", KILL),
        KILL,
    ),
    "killed, says a shell": (TRAINED + "/bin/bash: line 1: 12345 Killed   python -m softshare train --x\n", KILLED),
    "killed before it said anything": (
        "/usr/bin/bash: line 3:   999 Killed                  $take $launch train --model a --dataset b\n",
        KILLED,
    ),
    "killed, and what came after it": (
        f"/bin/bash: line 1: 12345 Killed   ( python -m softshare data )\n{STOPPED}\nRemoving output files\n",
        KILLED,
    ),
    "an instruction that this processor lacks": (f"{ILLEGAL}\n", ILLEGAL),
    "killed": ("Killed\n", "Killed"),
    "Slurm's memory": (
        "slurmstepd: error: Detected 1 oom_kill event in StepId=12.batch.\n"
        "slurmstepd: error: *** STEP 12.0 ON n1 CANCELLED AT 2026-01-02T03:04:05 ***\n",
        None,
    ),
    "C++": ("terminate called after throwing 'c10::Error'\n  what():  NCCL watchdog\n", "what():  NCCL watchdog"),
}  # fmt: skip
STOPS = {
    "a time limit": (TRAINED + LIMIT + "\n", LIMIT),
    "a time limit, obeyed": (f"{LIMIT}\n{STOPPED}\n", LIMIT),
    "scancel": ("slurmstepd: error: *** STEP 12.0 ON n1 CANCELLED AT 2026-01-02T03:04:05 ***\n", None),
    "SIGTERM": (TRAINED + STOPPED + "\n", STOPPED),
    "SIGTERM, says a shell": (f"{TERMINATED}\n", TERMINATED),
    "SIGTERM, says a shell after training": (TRAINED + f"{TERMINATED}\n", TERMINATED),
    "SIGTERM to torchrun": (TRAINED + f"{STOPPED}\n" * 2 + traceback(SIGNAL), SIGNAL),
    "SIGTERM, and processes that lose each other": (traceback(LOST) + traceback(SIGNAL), SIGNAL),
    "Ctrl-C while modules are loaded": (traceback("KeyboardInterrupt"), "KeyboardInterrupt"),
}


@pytest.mark.parametrize("name", FAILED)
def test_a_failure_is_told_by_the_line_that_names_it(name):
    text, line = FAILED[name]
    found = ending_of(text)
    assert found.end is End.FAILED, found
    assert line is None or found.line == line


@pytest.mark.parametrize(
    ("signal", "end"), [("KILL", End.FAILED), ("TERM", End.STOPPED), ("ABRT", End.FAILED), ("ILL", End.FAILED)]
)
def test_the_shell_of_this_machine_says_it_in_such_words(signal, end):
    """With a command after it, so that the shell does not become what is killed."""
    script = f"sh -c 'kill -{signal} $$'; exit 1"
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    found = ending_of(TRAINED + said.stderr)
    assert found.end is end, said.stderr
    assert (found.line == KILLED) == (signal == "KILL")


@pytest.mark.parametrize("name", STOPS)
def test_who_was_asked_to_end_has_not_failed(name):
    text, line = STOPS[name]
    found = ending_of(text)
    assert found.end is End.STOPPED, found
    assert line is None or found.line == line


@pytest.mark.parametrize("progress", [TRAINED, PATHS])
@pytest.mark.parametrize("before", [traceback(OOM), "Killed\n", STOPPED + "\n"])
def test_what_an_epoch_came_after_ended_nothing(before, progress):
    assert ending_of(before + progress) == Ending(End.UNKNOWN, progress.strip())


def test_an_exception_that_python_ignores_ended_nothing():
    text = TRAINED + "Exception ignored in: <function Loader.__del__ at 0x7f>\n" + traceback("AttributeError: queue")
    assert ending_of(text + "all well\n") == Ending(End.UNKNOWN, "all well")


def test_rules_and_trailers_say_nothing():
    assert ending_of("the last word\n" + trailer().replace("Signal 15", "")) == Ending(End.UNKNOWN, "the last word")
    assert ending_of("====\n\n") == ending_of("") == Ending(End.UNKNOWN, "")


def test_colours_and_carriage_returns_are_no_part_of_a_line():
    assert ending_of(f"\x1b[1;35m{OOM}\x1b[0m\r\n") == Ending(End.FAILED, OOM)


def test_no_log_and_what_is_none(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert read_ending(tmp_path / "none.log") is read_ending(tmp_path) is read_ending(tmp_path / "pipe") is None


@given(around=st.binary(max_size=300), behind=st.integers(0, 60_000))
def test_an_error_in_the_last_64_kib_is_found_whatever_stands_around(around, behind, tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "run.log"
    log.write_bytes(
        around * 400 + b"\n" + OURS.encode() + b"\n" + b"=" * behind + b"\n" + b"\xff" + around.replace(b"s", b"")
    )
    assert read_ending(log) == Ending(End.FAILED, OURS)


@given(st.text())
def test_no_text_is_too_odd(text):
    found = ending_of(text)
    assert "\n" not in found.line and (found.line or found.end is End.UNKNOWN)
