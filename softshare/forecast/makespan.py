"""How long a plan takes on so many GPUs or cores: train, then fold; tables, figures and the report take seconds."""

from __future__ import annotations

from collections.abc import Iterable

from softshare.forecast.predict import Forecast, RunForecast
from softshare.forecast.schedule import Schedule, ScheduledJob, simulate
from softshare.plan import Run


def makespan(forecast: Forecast, runs: Iterable[Run], units: int) -> Schedule:
    """Simulates the training and folding of runs.

    A run on several GPUs is taken to be done in that part of its time, its start apart; a folding holds one.

    Args:
        forecast: What each takes.
        runs: To be made.
        units: GPUs, of which a run holds one or as many as the forecast says, or cores.

    Raises:
        UserError: No unit.
    """
    return simulate([job for row in forecast.of(runs) for job in _jobs(row, forecast)], units)


def _jobs(row: RunForecast, forecast: Forecast) -> list[ScheduledJob]:
    on_gpu = forecast.ground.on_gpu
    gpus = forecast.gpus_per_run.get(row.run.setting.dataset, 1) if on_gpu else 1
    start = row.wall_seconds - row.seconds
    train = ScheduledJob(f"train {row.run}", start + row.seconds / gpus, gpus if on_gpu else row.threads)
    if not row.fold_seconds:
        return [train]
    return [train, ScheduledJob(f"fold {row.run}", row.fold_seconds, 1 if on_gpu else row.threads, (train.name,))]
