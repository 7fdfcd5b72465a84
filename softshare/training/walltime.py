"""The time that Slurm gives a job, held against its first epoch: a run that cannot end one in it would never get on."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from softshare.errors import UserError
from softshare.site import minutes_of

# An epoch is judged by its first tenth, or by what fits into a tenth of the time that is left.
SHARE = 0.1


@dataclass(frozen=True)
class JobTime:
    """The time of a job.

    Attributes:
        minutes: How long it may run in all.
        began: When it did, by `time.monotonic`.
    """

    minutes: float
    began: float


@cache
def time_of_this_job() -> JobTime | None:
    """The time of this process's Slurm job; None outside of one, or where it has no limit."""
    job = os.environ.get("SLURM_JOB_ID")
    if not job or shutil.which("squeue") is None:
        return None
    command = ["squeue", "--noheader", "--format=%l|%M", f"--jobs={job}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    limit, _, used = answer.strip().partition("|")
    minutes = minutes_of(limit)
    return None if minutes is None else JobTime(minutes, time.monotonic() - 60 * (minutes_of(used) or 0.0))


def seconds_beside_steps(history: Sequence[Mapping[str, Any]], seconds: float) -> float:
    """What an epoch took beside its steps, as in evaluation; 0 before the first has ended.

    Args:
        history: A row an epoch.
        seconds: Of all these epochs, evaluation included.
    """
    return max(seconds - sum(row["seconds"] for row in history), 0.0) / len(history) if history else 0.0


def require_epoch_fits(
    batches: Iterable[tuple[Tensor, Tensor]],
    count: int,
    out: Path,
    job: JobTime | None,
    beside: float = 0.0,
    wait: Callable[[], object] = lambda: None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Hands on the batches of a job's first epoch, and ends it early where the job would be over before it.

    Args:
        batches: Of an epoch.
        count: Examples in all of them, of this process.
        out: The run's folder, which an error names.
        job: The job's time; None = it has as long as it takes.
        beside: Seconds that the epoch takes after its steps, as far as is known.
        wait: Waits until the device has done what it was given, so that its time is seen and not the host's. Called
            until enough was seen.

    Raises:
        UserError: By the pace of its first steps, the epoch would end after the job. The first step is not taken for
            pace: it also sets up what the others find.
    """
    if job is None:
        yield from batches
        return
    done = first = 0
    start = clock = time.monotonic()
    seen_enough = False
    before = start - job.began
    for batch in batches:
        yield batch
        done += len(batch[1])
        if done >= count:
            continue
        if not seen_enough:
            wait()
        if not first:
            first, clock = done, time.monotonic()
            continue
        seconds = time.monotonic() - clock
        whole = clock - start + seconds / (done - first) * (count - first) + beside
        limit = 60 * job.minutes
        seen_enough = done >= SHARE * count or seconds >= SHARE * max(limit - before, 0.0)
        if seen_enough and before + whole > limit:
            raise UserError(
                f"is too short for an epoch, which takes some {whole / 60:.1f} minutes here and began after "
                f"{before / 60:.1f}: nothing would be kept",
                file=out,
                key="walltime",
                value=f"{job.minutes:g} minutes",
                remedy="raise runtime of this rule under set-resources in the profile",
            )
