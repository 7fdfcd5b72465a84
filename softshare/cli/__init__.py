"""The command line: parsing only. Each command imports what it needs, so that a report loads no torch."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from softshare import __version__
from softshare.cli import data, evidence, forecast, measuring, runs, watching
from softshare.errors import Stopped, UserError, shorten
from softshare.telling import is_first_process, tell


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Returns:
        0; 2 where the input was at fault (the one line on standard error tells how); 128 + the signal that stopped it.
    """
    arguments = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a log is read while the run goes on
    environment = os.environ.get("SOFTSHARE_ENVIRONMENT")  # told by those of envs/, for a job's log to tell
    if environment and is_first_process():
        print(f"environment: {environment} ({sys.prefix})", file=sys.stderr)
    try:
        arguments.command(arguments)
    except BrokenPipeError:
        sys.stderr.close()
    except (UserError, OSError) as error:
        if arguments.debug:
            raise
        # Where nobody foresaw it, such as a name that is too long for the file system.
        known = error if isinstance(error, UserError) else UserError(error.strerror or str(error), file=error.filename)
        tell(f"softshare: error: {known}")
        return 2
    except Stopped as stopped:
        tell(stopped.line)
        return 128 + stopped.number
    return 0


class _Parser(argparse.ArgumentParser):
    """Says in one line what was wrong; argparse would print every option that there is."""

    def error(self, message: str) -> NoReturn:
        if message.endswith("expected one argument"):
            # `--budget -3h`: argparse takes a value that begins so for an option.
            message += " (a value that begins with - is given as --NAME=VALUE)"
        tell(f"softshare: error: {shorten(' '.join(message.split()), 240)}; see {self.prog} --help")
        sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="softshare", description="Soft parameter sharing, and its reproduction.")
    parser.add_argument("--version", action="version", version=f"softshare {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for each in (runs, data, evidence, measuring, forecast, watching):
        each.add_commands(commands)
    return parser
