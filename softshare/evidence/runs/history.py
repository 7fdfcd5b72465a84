"""A run's `history.csv`: a row an epoch."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from softshare.evidence.runs.checks import UnusableError
from softshare.files import LARGEST_TEXT, plain_file


def read_history(file: Path) -> list[dict[str, str]]:
    """Reads the rows, whatever their columns; none where a run has just begun.

    Raises:
        UnusableError: The file is missing, too large, no plain file, or no CSV.
    """
    try:
        with plain_file(file, LARGEST_TEXT).open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))
    except FileNotFoundError:
        raise UnusableError("history.csv is missing") from None
    except (OSError, ValueError, csv.Error):
        raise UnusableError("history.csv cannot be read: truncated?") from None


def column(rows: Iterable[dict[str, str]], name: str) -> list[float]:
    """A column's numbers; NaN where a row has none.

    Raises:
        UnusableError: There is no such column, or something else than a number in it.
    """
    try:
        return [float(row[name] or "nan") for row in rows]
    except KeyError:
        raise UnusableError(f"history.csv has no column {name}") from None
    except (ValueError, TypeError):
        raise UnusableError("history.csv cannot be read: truncated?") from None
