"""Networks on shortest paths by batch norm's running statistics and by statistics anew: losses, F1, bad epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from softshare.evidence.paths.differences import ANEW, RUNNING, parts_of
from softshare.evidence.paths.runs import PathRow
from softshare.evidence.paths.scores import Anew
from softshare.evidence.statistics import summary_of
from softshare.evidence.wording import mean_and_sd

# A test loss of so many times the training loss of its epoch is counted.
APART = 3.0

ABOUT = (
    "F1 on the test set of the phase that is trained, mean over epochs; mean ± standard deviation between seeds. "
    "Statistics of batch norm: running, as training leaves them, or estimated anew after each epoch on the phase's "
    "training examples, with the same weights. Apart: epochs, the first of each phase left out, whose test loss is more"
    f" than {APART:g} times the training loss."
)


def rows_with_anew(rows: Sequence[PathRow]) -> list[PathRow]:
    """The rows with those runs alone that were scored by statistics anew besides."""
    found = []
    for row in rows:
        scores = {seed: each for seed, each in row.scores.items() if each.anew is not None}
        without = ("its recipe asks for no statistics anew",) if len(scores) < len(row.scores) else ()
        found.append(replace(row, scores=scores, missing=(*row.missing, *without)))
    return found


def anew_of(row: PathRow) -> list[Anew]:
    """What each run of a row has, in the order of its scores."""
    return [each.anew for each in row.scores.values() if each.anew is not None]


def apart(row: PathRow, statistics: str) -> tuple[int, int]:
    """Epochs of all runs whose test loss is far above the training loss, and all that are looked at."""
    found = anew_of(row)
    test = np.stack([each.running_loss if statistics == RUNNING else each.loss for each in found])
    beyond = (test > APART * np.stack([each.train_loss for each in found]))[:, :, 1:]
    return int(beyond.sum()), beyond.size


def epoch_rows(rows: Sequence[PathRow]) -> Iterator[dict[str, Any]]:
    """The figure's numbers: one row for each epoch of each run."""
    for row in rows:
        for seed, scores in row.scores.items():
            assert scores.anew is not None
            for index, (phase, epoch) in enumerate(np.ndindex(scores.f1.shape)):
                at = (phase, epoch)
                yield {
                    "row": row.label,
                    "run": f"{row.run}/seed{seed}",
                    "epoch": index + 1,
                    "phase": phase + 1,
                    "window": scores.windows[phase],
                    "train_loss": float(scores.anew.train_loss[at]),
                    "running_loss": float(scores.anew.running_loss[at]),
                    "anew_loss": float(scores.anew.loss[at]),
                    "running_f1": float(scores.f1[at]),
                    "anew_f1": float(scores.anew.f1[at]),
                }


def statistics_rows(rows: Sequence[PathRow]) -> Iterator[dict[str, Any]]:
    """The table as plain rows: one for each network, kind of statistics and part of the training."""
    for row in rows:
        if not row.scores:
            yield {"row": row.label, "run": None, "n": 0}
            continue
        for statistics, parts in _parts(row):
            beyond, of = apart(row, statistics)
            for part, values in parts.items():
                found = summary_of(values)
                low, high = found.interval or (None, None)
                yield {
                    "row": row.label,
                    "run": str(row.run),
                    "n": found.n,
                    "statistics": statistics,
                    "part": part,
                    "mean_f1": found.mean,
                    "sd_f1": found.sd,
                    "interval_low": low,
                    "interval_high": high,
                    "epochs_apart": beyond,
                    "of_epochs": of,
                }


def shown_statistics(rows: Sequence[PathRow]) -> Iterator[dict[str, str]]:
    """The table for a reader: a line for each network and kind of statistics."""
    for row in rows:
        if not row.scores:
            yield {
                "Row": row.label,
                "What was run": "not run at this scale" if row.run is None else "not run",
                "n": "0",
            }
            continue
        for statistics, parts in _parts(row):
            beyond, of = apart(row, statistics)
            found = {part: summary_of(values) for part, values in parts.items()}
            yield {
                "Row": row.label,
                "What was run": str(row.run),
                "n": str(len(row.scores)),
                "Statistics": statistics,
                **{f"F1, {part}": mean_and_sd(each.mean, each.sd, 3) for part, each in found.items()},
                "Apart": f"{beyond} of {of}",
            }


def _parts(row: PathRow) -> Iterator[tuple[str, dict[str, list[float]]]]:
    """For either kind of statistics, the values of all runs by part."""
    for statistics in (RUNNING, ANEW):
        found = [parts_of(scores, statistics) for scores in row.scores.values()]
        yield statistics, {part: [each[part] for each in found] for part in found[0]}
