"""Options that several commands take."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def add_data_options(parser: argparse.ArgumentParser, device: bool = True) -> None:
    """Adds where data lie and, if asked, where to compute."""
    parser.add_argument("--data", type=Path, help="folder or archive of the dataset (default: results/data/DATASET)")
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), help="folder for decoded images (default: ~/.cache/softshare)"
    )
    if device:
        parser.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:N (default: auto)")


def add_plan_options(parser: argparse.ArgumentParser, *, scale_required: bool = False, results: bool = True) -> None:
    """Adds which runs are meant and, if asked, where they lie."""
    scales = "quick, compact or paper"
    if scale_required:
        parser.add_argument("--scale", required=True, help=scales)
    else:
        parser.add_argument("--scale", default="quick", help=f"{scales} (default: quick)")
    parser.add_argument("--experiments", nargs="+", metavar="NAME", help="experiments of the scale (default: all)")
    if results:
        parser.add_argument(
            "--results", type=Path, default=Path("results"), help="folder of results (default: results)"
        )


def add_photograph_options(parser: argparse.ArgumentParser) -> None:
    """Adds how much of a set of photographs is used; None is what was not given, so that other data can refuse it."""
    parser.add_argument(
        "--limit", type=int, metavar="N", help="use N photographs of each split, for trials (default: all)"
    )
    parser.add_argument(
        "--allow-damaged",
        action="store_true",
        default=None,
        help="leave out photographs that cannot be read or decoded",
    )
    parser.add_argument("--workers", type=int, help="processes that decode photographs (default: cores, at most 16)")


def default_cache() -> Path:
    """Folder for decoded images, after the XDG base directories."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "softshare"
