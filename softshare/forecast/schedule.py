"""When a DAG is done on so many GPUs or cores: list scheduling, the job with the longest way to the end first."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from softshare.errors import UserError


@dataclass(frozen=True)
class ScheduledJob:
    """A job of the DAG.

    Attributes:
        name: Its name.
        seconds: How long it takes.
        units: GPUs or cores that it holds meanwhile.
        needs: Names of the jobs that must be done before.
    """

    name: str
    seconds: float
    units: int = 1
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schedule:
    """How a DAG goes.

    Attributes:
        makespan: Seconds from the first job's start to the last one's end.
        bound: What no schedule can undercut: all work spread evenly, or the longest chain.
        starts: When each job starts.
    """

    makespan: float
    bound: float
    starts: dict[str, float]


def simulate(jobs: Sequence[ScheduledJob], units: int) -> Schedule:
    """Simulates a DAG as a scheduler runs it that starts what it can, the longest way to the end first.

    Args:
        jobs: In any order.
        units: GPUs or cores; a job that asks for more is given all of them, as Snakemake does with cores.

    Raises:
        UserError: No unit, a job that needs one that is not there, or needs in a circle.
    """
    if units < 1:
        raise UserError("must be at least 1", key="GPUs or cores", value=units)
    by_name = {job.name: job for job in jobs}
    width = {job.name: min(job.units, units) for job in jobs}
    followers: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        for need in job.needs:
            if need not in by_name:
                raise UserError(f"needs {need!r}, which is no job", key="job", value=job.name)
            followers[need].append(job.name)
    try:
        order = list(TopologicalSorter({job.name: job.needs for job in jobs}).static_order())
    except CycleError as error:
        raise UserError("needs itself", key="job", value=error.args[1][0]) from None
    way: dict[str, float] = {}  # seconds from a job's start to the end of all that waits for it
    for name in reversed(order):
        way[name] = by_name[name].seconds + max((way[each] for each in followers[name]), default=0.0)

    open_needs = {job.name: len(set(job.needs)) for job in jobs}
    # Ready jobs by their width: of each width only the longest can be next.
    ready: dict[int, list[tuple[float, str]]] = defaultdict(list)
    for name in order:
        if not open_needs[name]:
            heapq.heappush(ready[width[name]], (-way[name], name))
    running: list[tuple[float, str]] = []
    starts: dict[str, float] = {}
    now, free = 0.0, units
    while running or any(ready.values()):
        while fitting := [queue for each, queue in ready.items() if queue and each <= free]:
            _, name = heapq.heappop(min(fitting, key=lambda queue: queue[0]))
            starts[name] = now
            free -= width[name]
            heapq.heappush(running, (now + by_name[name].seconds, name))
        now, name = heapq.heappop(running)
        free += width[name]
        for follower in set(followers[name]):
            open_needs[follower] -= 1
            if not open_needs[follower]:
                heapq.heappush(ready[width[follower]], (-way[follower], follower))
    work = sum(job.seconds * width[job.name] for job in jobs)
    return Schedule(now, max(work / units, max(way.values(), default=0.0)), starts)
