"""What a run on shortest paths found (section 4.4): F1 epoch by epoch, and at each phase's end on all phases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from softshare.evidence.checks import UnusableError, check_number
from softshare.evidence.history import read_history

# history.csv and metrics.json tell of the same evaluations: the same numbers, read back.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class PathScores:
    """F1 over all pixels of test sets, 0 to 1.

    Attributes:
        windows: n of each phase.
        f1: On the test set of the phase that is trained, after each of its epochs, [phases, epochs].
        extrapolation: At the end of each phase on the test set of every phase, [phases trained, phases tested].
    """

    windows: tuple[int, ...]
    f1: np.ndarray
    extrapolation: np.ndarray

    def mean_f1(self, phases: tuple[int, ...], part: tuple[float, float]) -> float:
        """Mean F1, which is the area under the curve, over a part of the epochs of some phases.

        Args:
            phases: Counted from 1.
            part: Fractions of a phase's epochs between which they lie; one epoch at least is taken.
        """
        epochs = self.f1.shape[1]
        first = min(round(part[0] * epochs), epochs - 1)
        last = max(round(part[1] * epochs), first + 1)
        return float(self.f1[[phase - 1 for phase in phases], first:last].mean())

    @property
    def ahead(self) -> float:
        """Mean F1 on phases that were not trained yet: what stands right of the diagonal of `extrapolation`."""
        return float(self.extrapolation[np.triu_indices(len(self.windows), k=1)].mean())


def planned_epochs(settings: dict[str, Any]) -> int:
    """Epochs of all phases together.

    Raises:
        UnusableError: The settings do not tell.
    """
    windows = settings.get("windows")
    check_number(settings.get("epochs"), "manifest.json: settings.epochs", low=1, whole=True)
    if not isinstance(windows, list) or not windows:
        raise UnusableError("manifest.json: settings.windows are missing")
    return len(windows) * int(settings["epochs"])


def read_path_scores(history: Path, metrics: dict[str, Any], settings: dict[str, Any]) -> PathScores:
    """Reads a run's scores.

    Args:
        history: Its `history.csv`.
        metrics: Content of its `metrics.json`.
        settings: Of its training.

    Raises:
        UnusableError: A file is missing or truncated, a number is none, or the two do not agree.
    """
    phases, epochs = len(settings["windows"]), planned_epochs(settings)
    f1 = _read_f1(history, phases, epochs)
    test = metrics.get("test")
    if not isinstance(test, dict):
        raise UnusableError("metrics.json: test is missing")
    check_number(test.get("examples"), "metrics.json: test.examples", low=1, whole=True)
    at_ends = _matrix([test.get("f1")], 1, phases, "metrics.json: test.f1")[0]
    extrapolation = _matrix(metrics.get("extrapolation"), phases, phases, "metrics.json: extrapolation")
    if abs(at_ends - f1[:, -1]).max() > _ROUNDING:
        raise UnusableError("metrics.json: test.f1 is not that of the phases' last epochs in history.csv")
    if abs(at_ends - extrapolation.diagonal()).max() > _ROUNDING:
        raise UnusableError("metrics.json: test.f1 is not the diagonal of extrapolation")
    return PathScores(tuple(settings["windows"]), f1, extrapolation)


def _read_f1(file: Path, phases: int, epochs: int) -> np.ndarray:
    try:
        rows = [(int(row["epoch"]), int(row["phase"]), float(row["test_f1"])) for row in read_history(file)]
    except (ValueError, TypeError, KeyError):
        raise UnusableError("history.csv cannot be read: truncated?") from None
    if len(rows) != epochs:
        raise UnusableError(f"history.csv tells of {len(rows)} epochs, metrics.json of {epochs}")
    for index, (epoch, phase, f1) in enumerate(rows):
        if (epoch, phase) != (index + 1, index * phases // epochs + 1):
            raise UnusableError(f"history.csv tells of epoch {epoch} in phase {phase} on its line {index + 2}")
        check_number(f1, "history.csv: test_f1", low=0, high=1)
    return np.array([f1 for _, _, f1 in rows]).reshape(phases, epochs // phases)


def _matrix(value: object, rows: int, columns: int, name: str) -> np.ndarray:
    if not isinstance(value, list) or [len(row) if isinstance(row, list) else 0 for row in value] != [columns] * rows:
        raise UnusableError(f"{name} is no table of {rows} x {columns}")
    for row in value:
        for number in row:
            check_number(number, name, low=0, high=1)
    return np.array(value, float)
