"""How long a plan takes on so many GPUs or cores: train, then fold; tables, figures and the report take seconds."""

from __future__ import annotations

from collections.abc import Iterable

from softshare.forecast.predict import Forecast, RunForecast
from softshare.forecast.schedule import Schedule, ScheduledJob, simulate
from softshare.scales import Run


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


def peak_disk(forecast: Forecast, runs: Iterable[Run], schedule: Schedule) -> int:
    """The most bytes that runs take at once, on that schedule: what has been kept so far, and checkpoints.

    A run that trains takes two checkpoints, for one is written whole before it takes the other's place; the last goes
    once the run's files are kept.

    Args:
        forecast: What each takes.
        runs: To be made.
        schedule: Theirs.
    """
    begun, ended = 0, 1
    events = []
    for row in forecast.of(runs):
        train = _jobs(row, forecast)[0]
        start = schedule.starts[train.name]
        # Of what is at one time, what ends comes first: its place is what the next one was given.
        events += [(start, begun, row), (start + train.seconds, -ended, row)]
    taken = peak = 0
    for _, what, row in sorted(events, key=lambda event: event[:2]):
        if what == begun:
            taken += 2 * row.checkpoint_bytes
        else:
            taken += row.disk_bytes
            peak = max(peak, taken)
            taken -= 2 * row.checkpoint_bytes
        peak = max(peak, taken)
    return peak


def _jobs(row: RunForecast, forecast: Forecast) -> list[ScheduledJob]:
    on_gpu = forecast.speed.on_gpu
    gpus = forecast.gpus_per_run.get(row.run.setting.dataset, 1) if on_gpu else 1
    start = row.wall_seconds - row.seconds
    train = ScheduledJob(f"train {row.run}", start + row.seconds / gpus, gpus if on_gpu else row.threads)
    if not row.fold_seconds:
        return [train]
    return [train, ScheduledJob(f"fold {row.run}", row.fold_seconds, 1 if on_gpu else row.threads, (train.name,))]
