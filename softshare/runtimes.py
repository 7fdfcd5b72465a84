"""How long each run takes, for the limits of a cluster's jobs, as the forecast of a scale told it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from softshare.errors import UserError
from softshare.files import read_json

FORECAST = "forecast.json"


@dataclass(frozen=True)
class Runtimes:
    """What a forecast tells of how long runs take.

    Attributes:
        minutes: By run, such as `cifar10/swrn-28-10/cifar/seed0`, each on one GPU or on the CPU; none where no forecast
            is of use.
        folding: Likewise of the foldings of those that are folded.
        note: Why a forecast that is there is not, in one line; None where all is well.
    """

    minutes: Mapping[str, float]
    folding: Mapping[str, float] = field(default_factory=dict)
    note: str | None = None


def read_minutes(results: Path, on_gpu: bool) -> Runtimes:
    """How long runs take as `softshare forecast --out` left it.

    A forecast from a data sheet's peak tells the fewest minutes possible, and one for a CPU nothing of a GPU: neither
    sets a limit.

    Args:
        results: `results/<scale>`.
        on_gpu: Whether the runs are to be made on GPUs.

    Raises:
        UserError: The file is there and no forecast.
    """
    file = results / FORECAST
    if not file.is_file():
        return Runtimes({})
    content = read_json(file)
    try:
        basis, for_gpu = content["basis"], "gpus" in content
        if not for_gpu and "cores" not in content:
            raise KeyError("gpus")
        minutes = {row["run"]: _minutes(row, "wall_seconds") for row in content["runs"]}
        folding = {row["run"]: _minutes(row, "fold_seconds") for row in content["runs"] if "fold_seconds" in row}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        remedy = "delete it, or write it anew with `softshare forecast --out`"
        raise UserError(f"is no forecast ({error!r})", file=file, remedy=remedy) from None
    instead = "time limits are taken from minutes_per_run of the scale"
    if basis == "peak":
        return Runtimes({}, note=f"{file}: tells a data sheet's peak, the fewest hours possible; {instead}")
    if for_gpu != on_gpu:
        made, wanted = ("a GPU", "on a CPU") if for_gpu else ("a CPU", "on GPUs")
        return Runtimes({}, note=f"{file}: was made for {made}, and jobs run {wanted}; {instead}")
    return Runtimes(minutes, {run: each for run, each in folding.items() if each})


def _minutes(row: dict[str, Any], key: str) -> float:
    run, seconds = row["run"], float(row[key])
    if not isinstance(run, str) or not 0 <= seconds < math.inf:  # NaN is neither
        raise ValueError(f"{key} of {run!r} are {seconds}")
    return seconds / 60
