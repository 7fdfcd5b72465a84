"""Commands that measure and count: bench, survey."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds bench and survey."""
    _add_bench(commands)
    _add_survey(commands)


def _add_bench(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "bench", help="measure speed and memory, and hold them against the bounds of config/bench.yaml"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("results/bench"), help="folder to write to (default: results/bench)"
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--only", nargs="+", metavar="NAME", help="benches or rows whose name starts with NAME")
    chosen.add_argument("--all", action="store_true", help="also run the benches that take minutes each")
    parser.add_argument(
        "--rounds", type=int, help="how often each is measured, at least 5 (default: as config/bench.yaml says)"
    )
    parser.add_argument(
        "--profile",
        metavar="MODEL",
        help="run no bench, but tell where a training step's time goes; writes a Chrome trace and a page",
    )
    parser.add_argument("--batch", type=int, default=128, help="images a step of --profile (default: 128)")
    parser.set_defaults(command=_bench)


def _add_survey(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "survey", help="tell what sharing saves in networks of torchvision and timm, as a table"
    )
    parser.add_argument("--out", type=Path, help="write the page to a file (default: print it)")
    parser.add_argument(
        "--architectures",
        nargs="+",
        metavar="NAME",
        help="networks, such as timm.convnext_atto (default: all of the table)",
    )
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
