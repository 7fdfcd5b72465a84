"""How long each run takes, for the limits of a cluster's jobs, as the forecast of a scale told it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from softshare.errors import UserError
from softshare.files import read_json

FORECAST = "forecast.json"


def read_minutes(results: Path) -> dict[str, float]:
    """Minutes of each run as `softshare forecast --out` left them; none where it did not.

    A forecast from a data sheet's peak tells the fewest minutes possible: it sets no limit, and counts as none.

    Args:
        results: `results/<scale>`.

    Returns:
        Minutes by run, such as `cifar10/swrn-28-10/cifar/seed0`.

    Raises:
        UserError: The file is there and no forecast.
    """
    file = results / FORECAST
    if not file.is_file():
        return {}
    content = read_json(file)
    try:
        if content["basis"] == "peak":
            return {}
        return dict(map(_minutes, content["runs"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        remedy = "delete it, or write it anew with `softshare forecast --out`"
        raise UserError(f"is no forecast ({error!r})", file=file, remedy=remedy) from None


def _minutes(row: dict[str, Any]) -> tuple[str, float]:
    run, seconds = row["run"], float(row["wall_seconds"])
    if not isinstance(run, str) or not 0 <= seconds < math.inf:  # NaN is neither
        raise ValueError(f"run {run!r} takes {seconds} s")
    return run, seconds / 60
