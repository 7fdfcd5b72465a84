"""Test error against parameters, a line a family of networks, as in Figure 3 of the paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from softshare.evidence.figures.drawing import axis, write
from softshare.evidence.reported import PaperTable, read_paper_table
from softshare.evidence.runs.gather import CellEvidence, Evidence
from softshare.evidence.verdict import FEWEST_SEEDS, Judgement, judge
from softshare.evidence.wording import mean_and_sd
from softshare.names import WideResNetName, parse_model_name
from softshare.plan import Experiment

_QUOTED, _STARRED = "quoted", "dropout"
# Red for the plain family, as in the paper; a colour for each number of templates.
_STYLES = {"WRN": ("#d62728", "-", "o"), "SWRN, k = L": ("#1f77b4", ":", "s"), "SWRN, k = 2": ("#2ca02c", ":", "^")}
_OTHERS = ("#9467bd", ":", "D")


@dataclass(frozen=True)
class Point:
    """A network on a dataset: ours, the paper's, or both.

    Attributes:
        row: Label of the row.
        dataset: The paper's dataset.
        dataset_name: Its name in the paper.
        family: Such as `SWRN, k = 2`.
        found: The runs; None for a quoted row.
        ours: Mean, spread and interval of their errors; None for a quoted row, or where runs depart from the plan.
        parameters: Of our network; None where none is complete.
        paper_parameters: Of the paper's.
        paper_value: Error that the paper prints; None where it prints none.
        dropout: Whether its networks have dropout, which the paper marks with a star.
    """

    row: str
    dataset: str
    dataset_name: str
    family: str
    found: CellEvidence | None
    ours: Judgement | None
    parameters: int | None
    paper_parameters: float | None
    paper_value: float | None
    dropout: bool = False

    @property
    def legend(self) -> str:
        """Its family, and the star."""
        return self.family.replace("WRN", "WRN*") if self.dropout else self.family


def parameter_points(evidence: Evidence, experiment: Experiment, root: Path | None = None) -> list[Point]:
    """Every point of the figure.

    Args:
        evidence: What ran.
        experiment: An experiment of kind `parameters`.
        root: Folder that holds `reports/`; the project's by default.

    Raises:
        UserError: The paper's numbers cannot be read.
    """
    tables = [read_paper_table(name, root) for name in experiment.numbers_from]
    points = [_run_point(found, tables) for found in evidence.cells[experiment.name]]
    for row in experiment.quoted:
        for dataset in experiment.datasets:
            name = _dataset_name(dataset, tables)
            points.append(Point(row, dataset, name, _QUOTED, None, None, None, *_printed(row, dataset, tables)))
    return points


def draw_parameters(experiment: Experiment, points: Sequence[Point], scale: str, *, with_paper: bool) -> Figure:
    """A panel a dataset: our means with their 95 % intervals, lines through those of a family that have dropout.

    Args:
        experiment: What is drawn.
        points: Its points.
        scale: Name of the scale.
        with_paper: Whether to draw the paper's and the quoted numbers, hollow: at the paper's scale alone.
    """
    count = len(experiment.datasets)
    figure = Figure(figsize=(0.4 + 4.6 * count, 4.3))
    write(figure, figure.get_size_inches()[0] / 2, 4.05, f"{experiment.title} (scale: {scale})", 9)
    for index, dataset in enumerate(experiment.datasets):
        panel = axis(figure, 0.8 + 4.6 * index, 0.6, 3.8, 3.0)
        here = [point for point in points if point.dataset == dataset]
        _draw_panel(panel, here, with_paper)
        panel.set_title(_heading(dataset, here), fontsize=8)
        panel.set_xlabel("parameters (millions)", fontsize=8)
        panel.set_ylabel("test error (%)", fontsize=8)
        panel.tick_params(labelsize=7)
    return figure


def parameter_rows(points: Sequence[Point]) -> Iterator[dict[str, Any]]:
    """The points as plain rows; None where nobody measured."""
    for point in points:
        cell, ours = (point.found.cell, point.ours) if point.found else (None, None)
        low, high = (ours.interval if ours else None) or (None, None)
        notes = [*point.found.departures, *point.found.cautions] if point.found else []
        yield {
            "row": point.row,
            "paper_dataset": point.dataset,
            "family": point.family,
            "run": str(cell.run) if cell and cell.run else None,
            "parameters": point.parameters,
            "n": ours.n if ours else None,
            "mean": ours.mean if ours else None,
            "sd": ours.sd if ours else None,
            "interval_low": low,
            "interval_high": high,
            "paper_parameters": point.paper_parameters,
            "paper_value": point.paper_value,
            "notes": "; ".join(notes) or None,
        }


def shown_parameters(points: Sequence[Point]) -> Iterator[dict[str, str]]:
    """The points for a reader."""
    for point in points:
        if point.found is None:
            ran = "nothing; quoted"
        elif point.found.cell.run is None:
            ran = "not run at this scale"
        else:
            ran = str(point.found.cell.run)
        ours = point.ours
        error = "" if point.found is None else "not run"
        if ours and ours.mean is not None:
            error = mean_and_sd(ours.mean, ours.sd, 2)
        yield {
            "Row": point.row,
            "Dataset": point.dataset_name,
            "Family": point.family,
            "What was run": ran,
            "Params, run": "" if point.parameters is None else f"{point.parameters:,}",
            "n": str(ours.n) if ours and ours.n else "",
            "Error (%)": error,
            "Paper": "" if point.paper_value is None else f"{point.paper_value:.2f}",
        }


def _run_point(found: CellEvidence, tables: Sequence[PaperTable]) -> Point:
    cell = found.cell
    parameters = found.values("parameters")
    return Point(
        cell.row,
        cell.paper.dataset,
        _dataset_name(cell.paper.dataset, tables),
        _family(cell.paper.model),
        found,
        None if found.departures or found.mixed else judge(found.errors, None),
        parameters[0] if len(parameters) == 1 else None,
        *_printed(cell.row, cell.paper.dataset, tables),
        dropout=_STARRED in cell.paper.recipe,
    )


def _heading(dataset: str, points: Sequence[Point]) -> str:
    """The dataset, and what was run in its place."""
    name = next((point.dataset_name for point in points), dataset)
    cells = [point.found.cell for point in points if point.found]
    ours = sorted({cell.run.dataset for cell in cells if cell.run} - {dataset})
    return f"{', '.join(ours)} in place of {name}" if ours else name


def _family(model: str) -> str:
    name = parse_model_name(model)
    if not isinstance(name, WideResNetName) or not name.shared:
        return "WRN"
    return f"SWRN, k = {name.templates or 'L'}"


def _dataset_name(dataset: str, tables: Sequence[PaperTable]) -> str:
    return next((table.datasets[dataset].name for table in tables if dataset in table.datasets), dataset)


def _printed(row: str, dataset: str, tables: Sequence[PaperTable]) -> tuple[float | None, float | None]:
    """Parameters and error of a row, from the first table that has it."""
    for table in tables:
        if row in table.rows and dataset in table.rows[row].values:
            found = table.rows[row]
            return found.exact_parameters.get(dataset) or found.printed_parameters, found.values[dataset]
    return None, None


def _draw_panel(panel: Axes, points: Sequence[Point], with_paper: bool) -> None:
    drawn = False
    for legend in dict.fromkeys(point.legend for point in points):
        members = [point for point in points if point.legend == legend]
        drawn |= _draw_ours(panel, members, named=not with_paper)
        if with_paper:
            drawn |= _draw_papers(panel, members)
    if not drawn:
        panel.set(xticks=[], yticks=[])
        panel.text(0.5, 0.5, "not run", ha="center", va="center", fontsize=9, transform=panel.transAxes)
        return
    panel.margins(0.2, 0.12)  # room for names
    low, high = panel.get_ylim()
    panel.set_ylim(max(low, 0.0), min(high, 100.0))  # two seeds give intervals beyond what an error can be
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter("{x:g}")
    least, most = panel.get_xlim()
    if most / least < 10:
        panel.xaxis.set_minor_formatter("{x:g}")
    else:  # they would run together
        panel.xaxis.set_minor_formatter(NullFormatter())
    panel.tick_params(axis="x", which="both", labelsize=6)
    panel.legend(fontsize=6)


def _draw_ours(panel: Axes, members: Sequence[Point], named: bool) -> bool:
    """A line through the members, an interval at each point; whether there was anything to draw.

    Args:
        panel: Where to draw.
        members: Points of one family, all with dropout or none.
        named: Write at each point what was run: at other scales than the paper's other networks stand in.
    """
    places = [
        (point.parameters / 1e6, point.ours.mean, point.ours.interval)
        for point in members
        if point.parameters and point.ours and point.ours.mean is not None
    ]
    places.sort(key=lambda place: place[:2])
    kind = members[0]
    colour, line, marker = _STYLES.get(kind.family, _OTHERS)
    if places:
        x, y = [place[0] for place in places], [place[1] for place in places]
        joined = line if len(x) > 1 and kind.dropout else "none"
        filled: Literal["full", "bottom"] = "full" if kind.dropout else "bottom"
        look: dict[str, Any] = {"color": colour, "ms": 4, "lw": 1.2, "fillstyle": filled, "markerfacecoloralt": "white"}
        panel.plot(x, y, ls=joined, marker=marker, label=f"{kind.legend}, ours", **look)
    seeds = {point.parameters / 1e6: point.ours.n for point in members if point.parameters and point.ours}
    for millions, _, interval in places:
        if interval and seeds[millions] >= FEWEST_SEEDS:  # two seeds give a line that hides the means
            panel.plot([millions, millions], interval, "-", color=colour, lw=0.8)
    for point in members if named else ():
        if point.parameters and point.ours and point.ours.mean is not None and point.found and point.found.cell.run:
            place, text = (point.parameters / 1e6, point.ours.mean), point.found.cell.run.model
            text += "*" if point.dropout else ""
            above = 5 if point.family == "WRN" else -10  # two families often have points at one place
            panel.annotate(text, place, (4, above), textcoords="offset points", fontsize=5, color=colour)
    return bool(places)


def _draw_papers(panel: Axes, members: Sequence[Point]) -> bool:
    """The numbers that the paper prints, hollow, and those that it quotes; whether there was anything to draw."""
    places = [
        (point.paper_parameters / 1e6, point.paper_value)
        for point in members
        if point.paper_parameters and point.paper_value is not None
    ]
    kind = members[0]
    colour, _, marker = _STYLES.get(kind.family, _OTHERS)
    look: dict[str, Any] = {
        "marker": marker,
        "facecolors": "none",
        "edgecolors": colour,
        "label": f"{kind.legend}, the paper",
    }
    if kind.family == _QUOTED:
        look = {"marker": "x", "color": "#7f7f7f", "label": "others, quoted by the paper"}
    if places:
        panel.scatter([place[0] for place in places], [place[1] for place in places], 26, **look)
    return bool(places)
