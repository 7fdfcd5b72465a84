"""The command status: where every run of a scale stands."""

from __future__ import annotations

import argparse
import sys

from softshare.cli.options import add_plan_options

_LONGEST_WATCH = 86400  # seconds


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds status."""
    parser = commands.add_parser("status", help="tell where every run of a scale stands; reads files only")
    add_plan_options(parser)
    parser.add_argument("--brief", action="store_true", help="leave out runs that are done or not started")
    parser.add_argument(
        "--watch",
        type=float,
        nargs="?",
        const=10.0,
        metavar="SECONDS",
        help="look again every SECONDS, until interrupted (default: 10)",
    )
    parser.set_defaults(command=_status)


def _status(arguments: argparse.Namespace) -> None:
    from softshare.errors import Stopped

    try:
        _look(arguments)
    except Stopped:  # so a watch ends
        if arguments.watch is None:
            raise


def _look(arguments: argparse.Namespace) -> None:
    import time

    from softshare.errors import UserError, require_positive
    from softshare.evidence.runs.status import describe_status, read_status
    from softshare.plan import load_plan

    if arguments.watch is not None:
        require_positive(arguments.watch, "watch")
        if arguments.watch > _LONGEST_WATCH:
            remedy = f"at most {_LONGEST_WATCH}, a day"
            raise UserError("is too many seconds", key="watch", value=arguments.watch, remedy=remedy)
    plan = load_plan(arguments.scale, arguments.experiments)
    results = arguments.results / arguments.scale
    while True:
        text = describe_status(read_status(plan, results), plan.scale.name, not arguments.brief, results)
        clear = "\033[H\033[2J" if arguments.watch is not None and sys.stdout.isatty() else ""
        print(clear + text, flush=True)
        if arguments.watch is None:
            return
        time.sleep(arguments.watch)
