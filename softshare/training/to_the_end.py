"""A run from its first epoch, or the one that a killed run had not ended, to its folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from softshare.files import remove_leftovers
from softshare.runfiles import DIVERGED
from softshare.stopping import stops_cleanly
from softshare.training.complete import FILES, metrics_if_complete
from softshare.training.curves import curves_in
from softshare.training.divergence import DivergedError, tell_of_divergence
from softshare.training.job import Job, RecipeT
from softshare.training.lock import alone_in
from softshare.training.resumable import Resumable


def train_to_the_end(
    job: Job[RecipeT],
    fingerprint: str,
    out: Path,
    start: Callable[[], Resumable[RecipeT]],
    progress: bool,
    files: Sequence[str] = FILES,
) -> dict[str, Any]:
    """Trains a run and writes its folder; a run that is complete is left as it is.

    Args:
        job: The run.
        fingerprint: Of its data.
        out: The run's folder.
        start: Makes the run's state, from the checkpoint that an earlier, killed one left, if any.
        progress: Whether to show a progress bar (on a terminal) and a line an epoch.
        files: What a complete run leaves besides its metrics; where one of them was lost, the run is made again.

    Returns:
        The metrics, as in `metrics.json`.

    Raises:
        UserError: A checkpoint of other settings, a folder that cannot be written or that another process trains
            in, or a loss that is no number (a `DivergedError`; the folder then tells of it).
        Stopped: SIGTERM or SIGINT came; the run can go on from its last epoch.
    """
    identity, first = job.identity(fingerprint), job.processes.first
    if (metrics := metrics_if_complete(out, files, identity)) is not None:
        return metrics
    with stops_cleanly(), alone_in(out) if first else contextlib.nullcontext():
        # Another process may have finished it since.
        if job.processes.count == 1 and (metrics := metrics_if_complete(out, files, identity)) is not None:
            return metrics
        if first:
            remove_leftovers(out)
            (out / DIVERGED).unlink(missing_ok=True)  # of an attempt before; this one tells for itself
        training = start()
        with curves_in(out) if job.curves and first else contextlib.nullcontext() as curves:
            if curves:
                curves.extend(training.history)
            for epoch in range(training.epoch, job.recipe.all_epochs):
                try:
                    training.run_epoch(epoch, progress and first)
                except DivergedError as error:
                    if first:
                        settings = job.key | job.recipe.settings()
                        tell_of_divergence(out, settings, identity, epoch + 1, error, training.provenance)
                    raise
                training.save()
                if curves:
                    curves.extend(training.history)
        return training.finish()
