"""The command forecast: the bill before the run."""

from __future__ import annotations

import argparse

from softshare.cli.options import add_plan_options


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds forecast."""
    parser = commands.add_parser(
        "forecast", help="tell what a scale will take: operations, hours, disk, and seeds for claims"
    )
    add_plan_options(parser)
    parser.add_argument(
        "--device",
        default="auto",
        help="auto, cpu, mps, cuda or cuda:N, to be measured; or a device of config/devices.yaml (default: auto)",
    )
    parser.add_argument(
        "--precision", default="auto", help="auto, fp32, bf16; on a GPU also tf32, fp16 (default: auto)"
    )
    parser.add_argument("--sustained", type=float, metavar="TFLOPS", help="assume this speed and measure nothing")
    parser.add_argument("--seconds", type=float, default=45.0, help="how long to measure (default: 45)")
    places = parser.add_mutually_exclusive_group()
    places.add_argument("--gpus", type=int, metavar="N", help="GPUs to use at once (default: as many as a run holds)")
    places.add_argument("--cores", type=int, metavar="N", help="CPU cores to use at once (default: this machine's)")
    parser.add_argument(
        "--gpus-per-run",
        nargs="+",
        metavar="DATASET=N",
        help="GPUs that a run holds, such as imagenet=8 (default: gpus of config/config.yaml)",
    )
    parser.add_argument(
        "--claims", nargs="*", metavar="ID", help="show how many seeds these claims need (default: all)"
    )
    parser.add_argument(
        "--budget", help="time to spend, such as 20h, 90m or 2d: show the cheapest runs that answer most of the claims"
    )
    parser.add_argument(
        "--out", action="store_true", help="also write forecast.md and forecast.json into RESULTS/SCALE"
    )
    parser.set_defaults(command=_forecast)


def _forecast(arguments: argparse.Namespace) -> None:
    from softshare.forecast.bill import write_bill

    print(write_bill(arguments))
