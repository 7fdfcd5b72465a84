"""Commands of softshare in processes of their own that start at once, so that hundreds can be killed.

A server that has imported torch is forked for each command. A process may be told to kill itself right before the
n-th change that it makes to a folder (a file opened for writing, renamed, removed), so that every state a kill can
leave on disk is seen once and none is left to chance.
"""

import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "softshare.training.run",
        "softshare.evidence.report",
        "softshare.evidence.publishing.publish",
        "sklearn.datasets",
        "torch._dynamo",  # which the first optimiser imports, in seconds
    ]
)
_CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Command:
    """A running command."""

    def __init__(self, arguments, log, *, prepare=None, watched=None, die_before=0, cwd=None):
        """Starts it.

        Args:
            arguments: Of `softshare`, or a function to call in their place.
            log: The file that its standard output and error go to.
            prepare: Called in the process before the command.
            watched: Folder whose changes are counted.
            die_before: Number of the change before which it kills itself; 0 = none.
            cwd: Its working directory.
        """
        self.log = Path(log)
        self._changes = CONTEXT.Value("l", 0, lock=False)
        target = (arguments, str(log), prepare, str(watched) if watched else None, die_before, self._changes, cwd)
        self.process = CONTEXT.Process(target=_run, args=target)
        self.process.start()

    def wait(self, seconds=300):
        """Its exit status, as of `subprocess`."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise TimeoutError(f"took more than {seconds} s: {self.said}")
        return self.process.exitcode

    def send(self, number):
        """Sends it a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def heeds(self, number):
        """Whether it has a handler of its own for a signal; for SIGINT Python always has one. Told by /proc alone."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
                if line.startswith("SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
        return False

    @property
    def changes(self):
        """How many changes it has made to the watched folder."""
        return self._changes.value

    @property
    def said(self):
        """What it wrote to standard output and error."""
        return self.log.read_text() if self.log.exists() else ""


def run(arguments, log, **options):
    """Runs a command to its end; gives its exit status."""
    return Command(arguments, log, **options).wait()


def _run(arguments, log, prepare, watched, die_before, changes, cwd):
    opened = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    os.dup2(opened, 1)
    os.dup2(opened, 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)
    if cwd:
        os.chdir(cwd)
    if prepare:
        prepare()
    if watched:
        _watch(watched, die_before, changes)
    if callable(arguments):
        sys.exit(arguments())
    from softshare.cli import main

    sys.exit(main([str(each) for each in arguments]))


def _watch(watched, die_before, changes):
    counted = itertools.count(1)

    def heard(event, values):
        writes = event == "open" and isinstance(values[2], int) and values[2] & _WRITES
        if not (writes or event in _CHANGES) or not _lies_in(values[0], watched):
            return
        changes.value = next(counted)
        if changes.value == die_before:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(heard)


def _lies_in(path, folder):
    return isinstance(path, str | os.PathLike) and os.path.abspath(os.fspath(path)).startswith(folder)  # noqa: PTH100
