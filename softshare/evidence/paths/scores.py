"""What a run on shortest paths found (section 4.4): F1 epoch by epoch, and at each phase's end on all phases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from softshare.evidence.runs.checks import UnusableError, check_number
from softshare.evidence.runs.history import read_history

# history.csv and metrics.json tell of the same evaluations: the same numbers, read back.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Anew:
    """What statistics of batch norm estimated anew change, after each epoch, [phases, epochs].

    Attributes:
        train_loss: Mean over the epoch's steps, each batch by its own statistics.
        running_loss: On the phase's test set by running statistics.
        loss: The same by statistics anew.
        f1: F1 there by statistics anew.
    """

    train_loss: np.ndarray
    running_loss: np.ndarray
    loss: np.ndarray
    f1: np.ndarray


@dataclass(frozen=True)
class PathScores:
    """F1 over all pixels of test sets, 0 to 1.

    Attributes:
        windows: n of each phase.
        f1: On the test set of the phase that is trained, after each of its epochs, [phases, epochs].
        extrapolation: At the end of each phase on the test set of every phase, [phases trained, phases tested].
        anew: The same by other statistics, and losses; None where the recipe asks for none.
    """

    windows: tuple[int, ...]
    f1: np.ndarray
    extrapolation: np.ndarray
    anew: Anew | None = None

    def mean_f1(self, phases: tuple[int, ...], part: tuple[float, float]) -> float:
        """Mean F1, which is the area under the curve, over a part of the epochs of some phases.

        Args:
            phases: Counted from 1.
            part: Fractions of a phase's epochs between which they lie; one epoch at least is taken.
        """
        return mean_of_part(self.f1, phases, part)

    @property
    def ahead(self) -> float:
        """Mean F1 on phases that were not trained yet: what stands right of the diagonal of `extrapolation`."""
        return float(self.extrapolation[np.triu_indices(len(self.windows), k=1)].mean())


def mean_of_part(f1: np.ndarray, phases: tuple[int, ...], part: tuple[float, float]) -> float:
    """As `PathScores.mean_f1`, of any F1 [phases, epochs]."""
    epochs = f1.shape[1]
    first = min(round(part[0] * epochs), epochs - 1)
    last = max(round(part[1] * epochs), first + 1)
    return float(f1[[phase - 1 for phase in phases], first:last].mean())


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
    rows = _read_epochs(history, phases, epochs)
    f1 = _curve(rows, "test_f1", phases, 1)
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
    anew = _read_anew(rows, metrics, phases) if settings.get("statistics_anew") else None
    return PathScores(tuple(settings["windows"]), f1, extrapolation, anew)


def _read_anew(rows: list[dict[str, str]], metrics: dict[str, Any], phases: int) -> Anew:
    f1 = _curve(rows, "anew_f1", phases, 1)
    told = metrics.get("anew")
    test = told.get("test") if isinstance(told, dict) else None
    if not isinstance(test, dict):
        raise UnusableError("metrics.json: anew.test is missing")
    at_ends = _matrix([test.get("f1")], 1, phases, "metrics.json: anew.test.f1")[0]
    if abs(at_ends - f1[:, -1]).max() > _ROUNDING:
        raise UnusableError("metrics.json: anew.test.f1 is not that of the phases' last epochs in history.csv")
    train, running, loss = (_curve(rows, name, phases) for name in ("train_loss", "test_loss", "anew_loss"))
    return Anew(train, running, loss, f1)


def _read_epochs(file: Path, phases: int, epochs: int) -> list[dict[str, str]]:
    rows = read_history(file)
    try:
        told = [(int(row["epoch"]), int(row["phase"])) for row in rows]
    except (ValueError, TypeError, KeyError):
        raise UnusableError("history.csv cannot be read: truncated?") from None
    if len(told) != epochs:
        raise UnusableError(f"history.csv tells of {len(told)} epochs, metrics.json of {epochs}")
    for index, (epoch, phase) in enumerate(told):
        if (epoch, phase) != (index + 1, index * phases // epochs + 1):
            raise UnusableError(f"history.csv tells of epoch {epoch} in phase {phase} on its line {index + 2}")
    return rows


def _curve(rows: list[dict[str, str]], name: str, phases: int, high: float = math.inf) -> np.ndarray:
    """A column's numbers from 0 up, [phases, epochs]."""
    try:
        values = [float(row[name]) for row in rows]
    except (ValueError, TypeError, KeyError):
        raise UnusableError("history.csv cannot be read: truncated?") from None
    for value in values:
        check_number(value, f"history.csv: {name}", low=0, high=high)
    return np.array(values).reshape(phases, -1)


def _matrix(value: object, rows: int, columns: int, name: str) -> np.ndarray:
    if not isinstance(value, list) or [len(row) if isinstance(row, list) else 0 for row in value] != [columns] * rows:
        raise UnusableError(f"{name} is no table of {rows} x {columns}")
    for row in value:
        for number in row:
            check_number(number, name, low=0, high=1)
    return np.array(value, float)
