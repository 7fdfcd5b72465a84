"""The command line: parsing only. Each command imports what it needs, so that a report loads no torch."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence

from softshare import __version__
from softshare.cli import data, evidence, forecast, measuring, runs, watching
from softshare.cli.parsing import Parser, require_words
from softshare.errors import Stopped, UserError, shorten
from softshare.stopping import stops_cleanly
from softshare.telling import is_first_process, tell


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; where other processes wait for this one, which failed, it ends the process itself.

    Returns:
        0; 2 where the input was at fault or memory too small (the one line on standard error tells how); 128 + the
        signal that stopped it, also where nobody reads what it prints any more.
    """
    try:
        status = _run(argv)
    except Exception:
        if not _others_wait():
            raise
        traceback.print_exc()
        status = 1
    if _others_wait():
        # Python's own end would shut NCCL down, for which it waits for the others. Loaders' processes see it gone.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)
    return status


def _others_wait() -> bool:
    """Whether this process failed while others of its run wait for it (`training.processes`); loads no torch."""
    processes = sys.modules.get("softshare.training.processes")
    return processes is not None and processes.left_alone()


def _run(argv: Sequence[str] | None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A log is read while the run goes on; and what a terminal cannot show is no reason to end.
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        require_words(words)
    except UserError as error:
        tell(f"softshare: error: {error}")
        return 2
    arguments = _parser().parse_args(words)
    environment = os.environ.get("SOFTSHARE_ENVIRONMENT")  # told by those of envs/, for a job's log to tell
    if environment and is_first_process():
        print(f"environment: {environment} ({sys.prefix})", file=sys.stderr)
    try:
        with stops_cleanly(at_last=True):
            arguments.command(arguments)
    except BrokenPipeError:
        # Nor may the interpreter try to write the rest when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        tell(f"softshare: stopped, for nobody reads what it prints; {arguments.if_stopped}")
        return 128 + signal.SIGPIPE
    except Stopped as stopped:
        tell(f"softshare: stopped by {stopped}; {arguments.if_stopped}")
        return 128 + stopped.number
    except Exception as error:
        known = _known(error)
        if known is None or arguments.debug:
            raise
        tell(f"softshare: error: {known}")
        return 2
    return 0


def _known(error: Exception) -> UserError | None:
    """An error that is not the program's fault, as a line; None for any other."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, OSError):  # where nobody foresaw it, such as a name that is too long for the file system
        return UserError(error.strerror or str(error), file=error.filename)
    # torch's own, on a GPU and on a CPU; a report loads no torch to ask for its type.
    if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error):
        return UserError(
            f"memory is too small ({shorten(' '.join(str(error).split()))})",
            remedy="give a smaller --batch-size, or take a device with more",
        )
    if isinstance(error, MemoryError):
        return UserError("memory is too small", remedy="is a file far larger than it should be? --debug tells where")
    return None


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="softshare",
        description="Soft parameter sharing for PyTorch, and the reproduction of Savarese & Maire, ICLR 2019.",
        epilog="`softshare COMMAND --help` tells of a command and its options.",
    )
    parser.add_argument("--version", action="version", version=f"softshare {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(if_stopped="nothing is left half-written")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for each in (runs, data, evidence, measuring, forecast, watching):
        each.add_commands(commands)
    return parser
