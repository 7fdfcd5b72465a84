"""Commands that measure and count: bench, survey."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds them."""
    _add_bench(commands)
    _add_survey(commands)


def _add_bench(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("bench", help="ratios measured in one run")
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--only", nargs="+", metavar="NAME", help="benches or rows whose name begins so")
    chosen.add_argument("--all", action="store_true", help="also the benches that take minutes each")
    parser.add_argument("--rounds", type=int, help="measurements of each, at least 5")
    parser.add_argument(
        "--profile", metavar="MODEL", help="instead: take a training step apart; leaves a Chrome trace and a page"
    )
    parser.add_argument("--batch", type=int, default=128, help="images a step of --profile (default: 128)")
    parser.set_defaults(command=_bench)


def _add_survey(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("survey", help="what sharing saves in networks of torchvision and timm, as a table")
    parser.add_argument("--out", type=Path, help="write the page to a file (default: print it)")
    parser.add_argument("--architectures", nargs="+", metavar="NAME", help="for instance timm.convnext_atto")
    parser.set_defaults(command=_survey)


def _bench(arguments: argparse.Namespace) -> None:
    if arguments.profile:
        from softshare.bench.step_profile import describe_profile, profile_step

        print(describe_profile(profile_step(arguments.profile, arguments.batch, arguments.out)))
        print(f"\nwritten to {arguments.out}")
        return
    from softshare.bench import run_benches

    run_benches(arguments.out, arguments.only, arguments.rounds, everything=arguments.all)


def _survey(arguments: argparse.Namespace) -> None:
    from softshare.models.survey import write_survey

    page = write_survey(arguments.out, arguments.architectures)
    print(arguments.out or page)
