"""How many cores this process may keep busy: those it may run on, and no more than its container is given time of."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OF_THIS_PROCESS = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Cores that this process may run on; of a container, as many as its quota of time keeps busy, at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, quota(_CGROUPS, _OF_THIS_PROCESS))))


def quota(cgroups: Path, of_process: Path) -> float:
    """Cores' worth of time that control groups give a process; infinite where they set no bound.

    Args:
        cgroups: Where they are mounted, of version 2 or 1.
        of_process: What tells the groups of the process, a line each: `0::/a/b`, or `4:cpu,cpuacct:/a/b`.
    """
    try:
        groups = [line.split(":", 2) for line in of_process.read_text().splitlines()]
    except OSError:
        return math.inf
    bounds = [math.inf]
    for _, controllers, path in (group for group in groups if len(group) == 3):
        if not controllers:
            bounds += [_bound(folder / "cpu.max") for folder in _upwards(cgroups, path)]
        elif "cpu" in controllers.split(","):
            bounds += [_bound_of_version_1(folder) for folder in _upwards(cgroups / "cpu", path)]
    return min(bounds)


def _upwards(root: Path, path: str) -> list[Path]:
    """A group and those that hold it: each may set a bound. In a container the outermost is often all that is seen."""
    folder = root / path.lstrip("/")
    return [folder, *(each for each in folder.parents if each == root or root in each.parents)]


def _bound(file: Path) -> float:
    try:
        most, period = file.read_text().split()[:2]
        return math.inf if most == "max" else int(most) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


def _bound_of_version_1(folder: Path) -> float:
    try:
        most, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return math.inf if most < 0 else most / period
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf
