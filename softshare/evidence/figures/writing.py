"""The figures of the paper from the run folders that are there, each as svg, png, pdf, and as plain numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import pandas as pd
from matplotlib.figure import Figure

from softshare.evidence.figures.drawing import drawing_style, save_figure
from softshare.evidence.figures.parameters import (
    Point,
    draw_parameters,
    parameter_points,
    parameter_rows,
    shown_parameters,
)
from softshare.evidence.foldings.runs import draw_folding, folded_runs, folding_rows, shown_folding
from softshare.evidence.paths.differences import find_differences
from softshare.evidence.paths.figures import draw_paths
from softshare.evidence.paths.runs import PathRow, curve_rows, path_rows, shown_extrapolation
from softshare.evidence.paths.statistics import epoch_rows, rows_with_anew, shown_statistics
from softshare.evidence.paths.statistics_figure import draw_statistics
from softshare.evidence.runs.gather import CellEvidence, Evidence, find_experiment, gather
from softshare.evidence.similarity.figures import draw_similarity, similarity_blocks, similarity_rows
from softshare.evidence.similarity.numbers import shown_similarity
from softshare.files import write_text
from softshare.plan import FIGURES, Experiment, Plan
from softshare.scales import Scale

FoundT = TypeVar("FoundT")


def write_figure(plan: Plan, name: str, results: Path, out_dir: Path) -> list[Path]:
    """Writes `<name>.svg`, `<name>.png`, `<name>.pdf` and `<name>.csv` from the run folders that are there.

    Args:
        plan: What was to be run.
        name: An experiment that is no table.
        results: `results/<scale>`.
        out_dir: Where to write.

    Returns:
        The files written.

    Raises:
        UserError: No such figure, the paper's numbers cannot be read, or it cannot be written.
    """
    find_experiment(plan, name, *FIGURES)
    evidence = gather(plan, results)
    with drawing_style():
        figure, rows = _drawn(evidence, name, results)
        files = save_figure(figure, out_dir / name)
    data = out_dir / f"{name}.csv"
    frame = pd.DataFrame(rows, dtype=object) if rows else pd.DataFrame(columns=["row"])
    write_text(data, frame.to_csv(index=False, lineterminator="\n"))
    return [*files, data]


def shown_numbers(evidence: Evidence, name: str, results: Path) -> list[dict[str, str]]:
    """The numbers of a figure for a reader, a row a run or a point; of matrices, one a group and epoch.

    Raises:
        UserError: The paper's numbers cannot be read.
    """
    behind = _Behind(evidence, evidence.plan.experiment(name), results)
    kind = KINDS[behind.experiment.kind]
    return list(kind.shown(kind.read(behind)))


def _drawn(evidence: Evidence, name: str, results: Path) -> tuple[Figure, list[dict[str, Any]]]:
    behind = _Behind(evidence, evidence.plan.experiment(name), results)
    kind = KINDS[behind.experiment.kind]
    found = kind.read(behind)
    return kind.draw(behind, found), list(kind.rows(found))


@dataclass(frozen=True)
class _Behind:
    """What stands behind a figure."""

    evidence: Evidence
    experiment: Experiment
    results: Path

    @property
    def cells(self) -> Sequence[CellEvidence]:
        """Its rows and their runs."""
        return self.evidence.cells[self.experiment.name]

    @property
    def scale(self) -> Scale:
        """The scale that was run."""
        return self.evidence.plan.scale

    @property
    def title(self) -> str:
        """What stands above it."""
        return f"{self.experiment.title} (scale: {self.scale.name})"


@dataclass(frozen=True)
class _Kind(Generic[FoundT]):
    """How figures of a kind are made.

    Attributes:
        read: What of the runs is shown.
        draw: That as a picture.
        rows: That as plain rows, for a program.
        shown: That in numbers, for a reader.
    """

    read: Callable[[_Behind], FoundT]
    draw: Callable[[_Behind, FoundT], Figure]
    rows: Callable[[FoundT], Iterable[dict[str, Any]]]
    shown: Callable[[FoundT], Iterable[dict[str, str]]]


def _draw_parameters(behind: _Behind, points: Sequence[Point]) -> Figure:
    return draw_parameters(behind.experiment, points, behind.scale.name, with_paper=behind.scale.is_paper)


def _draw_similarity(behind: _Behind, _: _Behind) -> Figure:
    at = behind.experiment.shown_at
    blocks = [block for found in behind.cells for block in similarity_blocks(found, behind.results, at)]
    return draw_similarity(behind.title, blocks)


def _draw_paths(behind: _Behind, rows: Sequence[PathRow]) -> Figure:
    return draw_paths(behind.title, rows, find_differences(behind.experiment, behind.cells, behind.results))


def _similarity_rows(behind: _Behind) -> Iterable[dict[str, Any]]:
    for found in behind.cells:
        yield from similarity_rows(found, behind.results, behind.experiment.shown_at)


# Of every kind in `plan.FIGURES`. Matrices are read run by run as they are drawn and told.
KINDS: dict[str, _Kind[Any]] = {
    "similarity": _Kind(
        lambda behind: behind,
        _draw_similarity,
        _similarity_rows,
        lambda behind: shown_similarity(behind.cells, behind.results, behind.experiment.shown_at),
    ),
    "folding": _Kind(
        lambda behind: folded_runs(behind.cells, behind.results),
        lambda behind, runs: draw_folding(behind.title, runs),
        folding_rows,
        shown_folding,
    ),
    "parameters": _Kind(
        lambda behind: parameter_points(behind.evidence, behind.experiment),
        _draw_parameters,
        parameter_rows,
        shown_parameters,
    ),
    "paths": _Kind(
        lambda behind: path_rows(behind.cells, behind.results),
        _draw_paths,
        curve_rows,
        shown_extrapolation,
    ),
    "path-statistics": _Kind(
        lambda behind: rows_with_anew(path_rows(behind.cells, behind.results)),
        lambda behind, rows: draw_statistics(behind.title, rows),
        epoch_rows,
        shown_statistics,
    ),
}
