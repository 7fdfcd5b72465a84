"""The foldings behind Figures 4 and 6: the first run drawn, and what folding costs every run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from softshare.errors import UserError
from softshare.evidence.drawing import EDGE, broken, write
from softshare.evidence.fold_figures import draw_stages
from softshare.evidence.folding import FoldedRun, read_folding_of
from softshare.evidence.gather import CellEvidence
from softshare.evidence.runfolder import Record
from softshare.plan import Cell

# Below a run's folder; `softshare fold` writes it there.
FOLDING = Path("folding") / "folding.json"


@dataclass(frozen=True)
class FoldedCellRun:
    """A run of a cell and its folding; None and why, where there is none.

    Attributes:
        cell: What of the paper it answers.
        record: The run.
        folded: What `softshare fold` left.
        instead: Why there is nothing.
    """

    cell: Cell
    record: Record
    folded: FoldedRun | None
    instead: str = ""


def folded_runs(cells: Sequence[CellEvidence], results: Path) -> list[FoldedCellRun]:
    """Every run of an experiment and its folding.

    Args:
        cells: The experiment's cells.
        results: `results/<scale>`.
    """
    return [_folded(found.cell, record, results) for found in cells for record in found.records]


def draw_folding(title: str, runs: Sequence[FoldedCellRun]) -> Figure:
    """The first folded run: unrolled, its layer similarity, folded. Where there is none, a line for each says why."""
    for each in runs:
        if each.folded:
            figure = draw_stages(each.folded, title)
            if each.cell.run != each.cell.paper:
                wide = figure.get_size_inches()[0]
                write(figure, wide / 2, 0.12, f"{each.cell.run} in place of {each.cell.paper}", 7)
            return figure
    lines = [f"{each.record.run}: {each.instead}" for each in runs] or ["not run at this scale"]
    lines = [part for line in lines for part in broken(line, 8, 8.0 - 2 * EDGE)]
    figure = Figure(figsize=(8.0, 1.0 + 0.3 * len(lines)))
    high = figure.get_size_inches()[1]
    write(figure, 4.0, high - 0.4, title, 9)
    for index, line in enumerate(lines):
        write(figure, 4.0, high - 0.8 - 0.3 * index, line, 8)
    return figure


def folding_rows(runs: Sequence[FoldedCellRun]) -> Iterator[dict[str, Any]]:
    """What folding costs, a row for each run and threshold, as `folding.csv` has them."""
    for each in runs:
        if each.folded:
            named = {"row": each.cell.row, "run": str(each.record.run), "of": each.folded.of}
            yield from (named | cost for cost in each.folded.costs)


def shown_folding(runs: Sequence[FoldedCellRun]) -> Iterator[dict[str, str]]:
    """What folding at the chosen threshold costs, a row a run, for a reader."""
    for each in runs:
        head = {"Row": each.cell.row, "Run": str(each.record.run)}
        yield head | (_shown(each.folded) if each.folded else {"Folded": each.instead})


def _shown(folded: FoldedRun) -> dict[str, str]:
    cost = next(row for row in folded.costs if row["threshold"] == folded.threshold)
    anew = cost["error_reestimated"]
    return {
        "Folded": "; ".join(f"{stage}: {loops}" for stage, loops in folded.chosen.stages.items()),
        "At": f"{folded.threshold:g}",
        "Layers": f"{folded.chosen.distinct_layers} of {folded.chosen.layers}",
        "Error before (%)": f"{cost['error_before']:.2f}",
        "After": f"{cost['error_after']:.2f}",
        "p": f"{cost['p']:.2g}",
        "Statistics anew": "" if anew is None else f"{anew:.2f}",
    }


def _folded(cell: Cell, record: Record, results: Path) -> FoldedCellRun:
    if not record.complete:
        return FoldedCellRun(cell, record, None, record.reason)
    file = results / record.folder / FOLDING
    if not file.is_file():
        return FoldedCellRun(cell, record, None, "not folded")
    try:
        return FoldedCellRun(cell, record, read_folding_of(record, file))
    except UserError as error:
        # Without the folder: the same runs give the same figure wherever they lie.
        return FoldedCellRun(cell, record, None, str(error).replace(f"{file.parent}/", ""))
