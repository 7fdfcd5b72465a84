"""How long each run takes, for the limits of a cluster's jobs, as the forecast of a scale told it."""

from __future__ import annotations

from pathlib import Path

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
        return {row["run"]: float(row["wall_seconds"]) / 60 for row in content["runs"]}
    except (KeyError, TypeError, ValueError) as error:
        remedy = "delete it, or write it anew with `softshare forecast --out`"
        raise UserError(f"is no forecast ({error!r})", file=file, remedy=remedy) from None
