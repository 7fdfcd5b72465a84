"""How long each run takes, for the limits of a cluster's jobs, as the forecast of a scale told it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from softshare.errors import UserError
from softshare.files import read_json

FORECAST = "forecast.json"


@dataclass(frozen=True)
class Runtimes:
    """What a forecast tells of how long runs take.

    Attributes:
        minutes: By run, such as `cifar10/swrn-28-10/cifar/seed0`, each on one GPU or on the CPU; none where no forecast
            is of use.
        note: Why a forecast that is there is not, in one line; None where all is well.
    """

    minutes: Mapping[str, float]
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
        minutes = {row["run"]: float(row["wall_seconds"]) / 60 for row in content["runs"]}
    except (KeyError, TypeError, ValueError) as error:
        remedy = "delete it, or write it anew with `softshare forecast --out`"
        raise UserError(f"is no forecast ({error!r})", file=file, remedy=remedy) from None
    instead = "time limits are taken from minutes_per_run of the scale"
    if basis == "peak":
        return Runtimes({}, f"{file}: tells a data sheet's peak, the fewest hours possible; {instead}")
    if for_gpu != on_gpu:
        made, wanted = ("a GPU", "on a CPU") if for_gpu else ("a CPU", "on GPUs")
        return Runtimes({}, f"{file}: was made for {made}, and jobs run {wanted}; {instead}")
    return Runtimes(minutes)
