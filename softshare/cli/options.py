"""Options that several commands take."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def add_data_options(parser: argparse.ArgumentParser, device: bool = True) -> None:
    """Adds where data lie and, if asked, where to compute."""
    parser.add_argument("--data", type=Path, help="folder or archive that holds the dataset")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="folder for decoded images")
    if device:
        parser.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:N (default: auto)")


def default_cache() -> Path:
    """Folder for decoded images, after the XDG base directories."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "softshare"
