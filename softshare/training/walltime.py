"""The time that Slurm gives a job, held against an epoch: a run that cannot end one in it would never get on."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from torch import Tensor

from softshare.errors import UserError
from softshare.site import minutes_of

# An epoch is judged by its first tenth, or by what fits into a tenth of the job's time.
SHARE = 0.1


@cache
def minutes_of_this_job() -> float | None:
    """How long the Slurm job of this process may run in all; None outside of one, or where it has no limit."""
    job = os.environ.get("SLURM_JOB_ID")
    if not job or shutil.which("squeue") is None:
        return None
    command = ["squeue", "--noheader", "--format=%l", f"--jobs={job}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return minutes_of(answer)


def require_epoch_fits(
    batches: Iterable[tuple[Tensor, Tensor]], count: int, out: Path, minutes: float | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Hands on an epoch's batches, and ends it early where the whole would take longer than the job may.

    Args:
        batches: Of an epoch.
        count: Examples in all of them, of this process.
        out: The run's folder, which an error names.
        minutes: How long the job may run; None = as long as it takes.

    Raises:
        UserError: By the pace of its first steps, the epoch takes more than `minutes`. The first step is not counted:
            it also sets up what the others find.
    """
    done = first = 0
    clock = time.perf_counter()
    for batch in batches:
        yield batch
        done += len(batch[1])
        if minutes is None or done >= count:
            continue
        if not first:
            first, clock = done, time.perf_counter()
            continue
        seconds = time.perf_counter() - clock
        whole = seconds / (done - first) * count / 60
        seen_enough = done >= SHARE * count or seconds >= SHARE * minutes * 60
        if seen_enough and whole > minutes:
            raise UserError(
                f"is shorter than one epoch, which takes some {whole:.1f} minutes here: nothing would be kept",
                file=out,
                key="walltime",
                value=f"{minutes:g} minutes",
                remedy="raise runtime of this rule under set-resources in the profile",
            )
