"""How long a plan takes on so many GPUs or cores: train, then fold; tables, figures and the report take seconds."""

from __future__ import annotations

from collections.abc import Iterable

from softshare.forecast.predict import Forecast, RunForecast
from softshare.forecast.schedule import Schedule, ScheduledJob, simulate
from softshare.plan import Run


def makespan(forecast: Forecast, runs: Iterable[Run], units: int) -> Schedule:
    """Simulates the training and folding of runs.

    Args:
        forecast: What each takes.
        runs: To be made.
        units: GPUs, where runs hold one each, or cores.

    Raises:
        UserError: No unit.
    """
    return simulate([job for row in forecast.of(runs) for job in _jobs(row, forecast.ground.on_gpu)], units)


def _jobs(row: RunForecast, on_gpu: bool) -> list[ScheduledJob]:
    units = 1 if on_gpu else row.threads
    train = ScheduledJob(f"train {row.run}", row.wall_seconds, units)
    if not row.fold_seconds:
        return [train]
    return [train, ScheduledJob(f"fold {row.run}", row.fold_seconds, units, (train.name,))]
