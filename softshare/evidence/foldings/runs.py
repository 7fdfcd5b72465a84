"""The foldings behind Figures 4 and 6 and of one template: runs drawn side by side, and what folding costs each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from softshare.errors import UserError
from softshare.evidence.figures.drawing import EDGE, broken, write
from softshare.evidence.foldings.figures import draw_stages
from softshare.evidence.foldings.reading import FoldedRun, read_folding_of
from softshare.evidence.runs.gather import CellEvidence
from softshare.evidence.runs.runfolder import Record
from softshare.plan import Cell
from softshare.runfiles import FOLDING

_DRAWN = 3  # side by side; more could not be read on a page


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
    """The folded runs of the first row that has any: unrolled, layer similarity, folded; `_DRAWN` of them at most.

    Where there is none, a line for each run says why.
    """
    folded = [each for each in runs if each.folded]
    if folded:
        cell = folded[0].cell
        of_row = [each.folded for each in folded if each.folded and each.cell == cell]
        figure = draw_stages(of_row[:_DRAWN], title)
        below = [] if cell.run == cell.paper else [f"{cell.run} in place of {cell.paper}"]
        if len(of_row) > _DRAWN:
            below.append(f"the first {_DRAWN} of {len(of_row)} runs; the table has all")
        if below:
            write(figure, figure.get_size_inches()[0] / 2, 0.12, "; ".join(below), 7)
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
    """What folding costs, a row for each run and threshold, as `folding.csv` has them, and for each stage alone."""
    for each in runs:
        if each.folded:
            named = {"row": each.cell.row, "run": str(each.record.run), "of": each.folded.of}
            yield from (named | {"stages": "all"} | cost for cost in each.folded.costs)
            yield from (named | {"stages": stage} | cost for stage, cost in each.folded.stage_costs.items())


def shown_folding(runs: Sequence[FoldedCellRun]) -> Iterator[dict[str, str]]:
    """What folding at the chosen threshold costs, for a reader: a row a run, then one for each stage folded alone.

    A stage in which no layers are alike has none.
    """
    for each in runs:
        head = {"Row": each.cell.row, "Run": str(each.record.run)}
        if each.folded is None:
            yield head | {"Folded": each.instead}
            continue
        chosen, at = each.folded.chosen, f"{each.folded.threshold:g}"
        (whole,) = (cost for cost in each.folded.costs if cost["threshold"] == each.folded.threshold)
        folded = "; ".join(f"{stage}: {loops}" for stage, loops in chosen.stages.items())
        yield head | {"Folded": folded, "At": at} | _shown(whole, chosen.distinct_layers, chosen.layers)
        for stage, cost in each.folded.stage_costs.items():
            saved = len(chosen.stages[stage].sequence) - len(chosen.stages[stage].distinct)
            if saved:
                yield head | {"Folded": f"{stage} alone", "At": at} | _shown(cost, chosen.layers - saved, chosen.layers)


def _shown(cost: Mapping[str, Any], left: int, layers: int) -> dict[str, str]:
    anew = cost["error_reestimated"]
    return {
        "Layers": f"{left} of {layers}",
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
