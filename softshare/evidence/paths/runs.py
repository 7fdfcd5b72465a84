"""The runs behind Figure 5: their curves, their extrapolation matrices, and what they predict for test examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from softshare.errors import UserError
from softshare.evidence.paths.scores import PathScores, read_path_scores
from softshare.evidence.runs.checks import UnusableError
from softshare.evidence.runs.gather import CellEvidence
from softshare.evidence.runs.runfolder import Record
from softshare.evidence.statistics import summary_of
from softshare.evidence.wording import by_reason, mean_and_sd
from softshare.files import LARGEST_ARRAYS, small_zip
from softshare.runfiles import HISTORY
from softshare.scales import Setting


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the final network of a run says of the first test examples of each phase.

    Attributes:
        inputs: Query points and obstacles, uint8 [phases, N, 2, side, side].
        labels: Points on a shortest path, uint8 [phases, N, side, side].
        probabilities: Of being one, [phases, N, side, side].
    """

    inputs: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True, eq=False)
class PathRow:
    """A network of Figure 5 and its runs.

    Attributes:
        label: Its name in the figure.
        paper: What the paper ran.
        run: What was run in its place; None = nothing at this scale.
        scores: Of each run that may be shown, by seed.
        folders: The folders of these runs, by seed.
        missing: Why other runs are not shown.
    """

    label: str
    paper: Setting
    run: Setting | None
    scores: dict[int, PathScores]
    folders: dict[int, Path]
    missing: tuple[str, ...]

    @property
    def windows(self) -> tuple[int, ...]:
        """The window, n, of each phase."""
        return next(iter(self.scores.values())).windows

    def stacked(self, what: str) -> np.ndarray:
        """`f1` or `extrapolation` of every run, [seeds, ...]."""
        return np.stack([getattr(scores, what) for scores in self.scores.values()])


def path_rows(cells: Sequence[CellEvidence], results: Path) -> list[PathRow]:
    """The rows of an experiment of kind `paths`; what cannot be shown is listed, and the rest stands.

    Args:
        cells: The experiment's cells.
        results: `results/<scale>`.
    """
    return [_row(found, results) for found in cells]


def scores_of(record: Record, results: Path) -> PathScores:
    """The scores of a complete run, which `read_run` has looked through."""
    return read_path_scores(results / record.folder / HISTORY, record.metrics, record.settings)


def seeds_on_other_examples(one: CellEvidence, other: CellEvidence) -> list[int]:
    """Seeds of which two settings' runs were not trained and tested on the same examples: they are no pairs."""
    ours, base = (
        {record.run.seed: record.manifest["dataset"].get("fingerprint") for record in found.complete}
        for found in (one, other)
    )
    return [seed for seed in sorted(ours.keys() & base.keys()) if ours[seed] != base[seed]]


def read_predictions(file: Path) -> Predictions:
    """Reads a run's `predictions.npz`.

    Raises:
        UserError: The file is missing, damaged, or its arrays do not fit each other.
    """
    try:
        with np.load(small_zip(file, LARGEST_ARRAYS), allow_pickle=False) as stored:
            found = Predictions(stored["inputs"], stored["labels"], stored["probabilities"])
        phases, count, channels, *grid = found.inputs.shape
        if channels != 2 or len(grid) != 2:
            raise ValueError(f"inputs are {found.inputs.shape}")
        for name in ("labels", "probabilities"):
            if getattr(found, name).shape != (phases, count, *grid):
                raise ValueError(f"{name} are {getattr(found, name).shape} for inputs {found.inputs.shape}")
        if not ((found.probabilities >= 0) & (found.probabilities <= 1)).all():
            raise ValueError("probabilities lie outside [0, 1]")
    except FileNotFoundError as error:
        raise UserError("no such file", file=file, remedy="is the run complete?") from error
    except KeyError as error:
        raise UserError(f"array {error} is missing", file=file) from error
    except Exception as error:  # a damaged zip file fails in any way there is
        raise UserError(f"cannot be used ({error})", file=file, remedy="is it truncated?") from error
    return found


def curve_rows(rows: Sequence[PathRow]) -> Iterator[dict[str, Any]]:
    """The training curves as plain rows: one for each epoch of each run."""
    for row in rows:
        for seed, scores in row.scores.items():
            phases, epochs = scores.f1.shape
            for phase in range(phases):
                for epoch in range(epochs):
                    yield {
                        "row": row.label,
                        "run": f"{row.run}/seed{seed}",
                        "epoch": phase * epochs + epoch + 1,
                        "phase": phase + 1,
                        "window": scores.windows[phase],
                        "test_f1": float(scores.f1[phase, epoch]),
                    }


def extrapolation_rows(rows: Sequence[PathRow]) -> Iterator[dict[str, Any]]:
    """The extrapolation matrices as plain rows: F1 of a network trained up to a phase, on a phase's test set."""
    for row in rows:
        if not row.scores:
            yield {"row": row.label, "paper": str(row.paper), "run": None, "n": 0}
            continue
        matrices = row.stacked("extrapolation")  # [seeds, trained, tested]
        for trained, tested in np.ndindex(*matrices.shape[1:]):
            found = summary_of(matrices[:, trained, tested])
            low, high = found.interval or (None, None)
            yield {
                "row": row.label,
                "paper": str(row.paper),
                "run": str(row.run),
                "trained_up_to": trained + 1,
                "tested_on": tested + 1,
                "n": found.n,
                "mean_f1": found.mean,
                "sd_f1": found.sd,
                "interval_low": low,
                "interval_high": high,
            }


def shown_extrapolation(rows: Sequence[PathRow]) -> Iterator[dict[str, str]]:
    """The extrapolation matrices for a reader: a line for each network and phase that it was trained up to."""
    for row in rows:
        if not row.scores:
            ran = "not run at this scale" if row.run is None else "not run"
            yield {"Row": row.label, "What was run": ran, "n": "0"}
            continue
        matrices = row.stacked("extrapolation")  # [seeds, trained, tested]
        for trained in range(matrices.shape[1]):
            cells = {}
            for tested, window in enumerate(row.windows):
                found = summary_of(matrices[:, trained, tested])
                cells[f"F1, {window} x {window}"] = mean_and_sd(found.mean, found.sd, 3)
            yield {
                "Row": row.label,
                "What was run": str(row.run),
                "n": str(len(matrices)),
                "Trained up to": f"phase {trained + 1}",
                **cells,
            }


def _row(found: CellEvidence, results: Path) -> PathRow:
    cell = found.cell
    scores: dict[int, PathScores] = {}
    left_out = [(record.run.seed, record.reason) for record in found.records if not record.complete]
    unlike = [*found.departures, *found.mixed]
    if not unlike:
        for record in found.complete:
            try:
                scores[record.run.seed] = scores_of(record, results)
            except UnusableError as error:  # it changed since it was looked through
                left_out.append((record.run.seed, str(error)))
    folders = {record.run.seed: results / record.folder for record in found.complete if record.run.seed in scores}
    return PathRow(cell.row, cell.paper, cell.run, scores, folders, (*by_reason(left_out), *unlike))
