"""A line of a table: a number of the paper, or its want of one, our runs, and what follows."""

from __future__ import annotations

from dataclasses import dataclass

from softshare.evidence.reported import PaperNumber, PaperRow, PaperTable
from softshare.evidence.runs.gather import CellEvidence, cautions_between, mixed_between
from softshare.evidence.statistics import TTest, compare
from softshare.evidence.verdict import Judgement, judge


@dataclass(frozen=True)
class Line:
    """A number of the paper, our runs, and what follows.

    Attributes:
        evidence: The runs behind it.
        row: The paper's row.
        dataset: Name of the paper's dataset.
        number: The paper's number; None where it gives none.
        decimals: How many of them the paper prints.
        judgement: What follows.
        epochs: Of the paper's training, and of the planned one.
        notes: What a reader should know of this line.
        contrast: The difference to the row that the experiment compares with; None where that cannot be told.
    """

    evidence: CellEvidence
    row: PaperRow
    dataset: str
    number: PaperNumber | None
    decimals: int
    judgement: Judgement
    epochs: tuple[int, int]
    notes: tuple[str, ...]
    contrast: TTest | None

    @property
    def exact_parameters(self) -> int | None:
        """Parameters of the paper's network, worked out from its architecture."""
        return self.row.exact_parameters.get(self.evidence.cell.paper.dataset)


@dataclass(frozen=True)
class QuotedLine:
    """A number of the paper that is others', shown and never judged.

    Attributes:
        row: The paper's row.
        dataset: Name of the paper's dataset.
        place: The paper's dataset, as the plan names it.
        decimals: How many of them the paper prints.
    """

    row: PaperRow
    dataset: str
    place: str
    decimals: int

    @property
    def value(self) -> float | None:
        """As printed, in percent."""
        return self.row.values[self.place]


def quoted_line(row: str, place: str, paper: PaperTable) -> QuotedLine:
    """The line of a quoted row.

    Args:
        row: Its label.
        place: The paper's dataset.
        paper: The paper's numbers for the table.
    """
    return QuotedLine(paper.rows[row], paper.datasets[place].name, place, paper.decimals)


def judged_line(found: CellEvidence, base: CellEvidence | None, paper: PaperTable, epochs: tuple[int, int]) -> Line:
    """Judges the runs of a cell.

    Args:
        found: The cell and its runs.
        base: The cell that its table compares it with, if any.
        paper: The paper's numbers for the table.
        epochs: Of the paper's training, and of the planned one.
    """
    cell = found.cell
    row, number = paper.rows[cell.row], paper.number(cell.row, cell.paper.dataset)
    departures = [*found.departures, *_unlike_the_paper(found, row, paper)]
    comparable = cell.run == cell.paper and not departures
    notes = [*departures, *found.cautions]
    notes += [f"seed {r.run.seed} left out: {r.reason}" for r in found.records if not r.complete and found.complete]
    difference, cautions = _compared(found, base) if base else (None, [])
    return Line(
        evidence=found,
        row=row,
        dataset=paper.datasets[cell.paper.dataset].name,
        number=number,
        decimals=paper.decimals,
        judgement=judge(found.errors, number, comparable=comparable, mixed=bool(found.mixed)),
        epochs=epochs,
        notes=(*notes, *cautions),
        contrast=difference,
    )


def _compared(found: CellEvidence, base: CellEvidence) -> tuple[TTest | None, list[str]]:
    """The difference to another row of ours, and what a reader should know of it. The rule is fixed before any run."""
    if not (found.complete and base.complete):
        return None, []
    if found.departures or base.departures:
        return None, [f"not held against {base.cell.row}: runs depart from the plan"]
    if found.mixed or base.mixed:
        return None, [f"not held against {base.cell.row}: runs are mixed"]
    if mixed := mixed_between(found, base):
        return None, [f"not held against {base.cell.row}: {'; '.join(mixed)}"]
    cautions = [f"with {base.cell.row}: {caution}" for caution in cautions_between(found, base)]
    difference = compare(found.errors_by_seed, base.errors_by_seed)
    # A single run is held against that of its own seed, and against no other.
    told = difference.pairs is not None or min(difference.n) > 1
    return difference if told else None, cautions


def _unlike_the_paper(found: CellEvidence, row: PaperRow, paper: PaperTable) -> list[str]:
    """What keeps runs that bear the paper's names from answering its numbers."""
    if found.cell.run != found.cell.paper:
        return []  # what was run in its place is said in the row itself
    exact = row.exact_parameters.get(found.cell.paper.dataset)
    notes = [
        f"{count:,} parameters in place of {exact:,}"
        for count in found.values("parameters")
        if exact and count != exact
    ]
    for record in found.complete:
        for key, value in (paper.training | row.training).items():
            if record.settings.get(key) != value:
                notes.append(f"trained with {key} {record.settings.get(key)} in place of the paper's {value}")
        notes += [f"data: {note}" for note in record.manifest.get("dataset", {}).get("notes", ())]
        notes += [record.lossy] if record.lossy else []
    return list(dict.fromkeys(notes))
