"""A table of the paper, filled with what was run: Markdown, LaTeX, CSV and a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from softshare.evidence.markup import latex, markdown
from softshare.evidence.reported import PaperTable, read_reported
from softshare.evidence.runs.gather import CellEvidence, Evidence, find_experiment, gather
from softshare.evidence.tables.beside import BESIDE
from softshare.evidence.tables.columns import RIGHT, plain, shown
from softshare.evidence.tables.lines import Line, QuotedLine, judged_line, quoted_line
from softshare.evidence.tables.page import table_page
from softshare.files import write_text
from softshare.plan import Experiment, Plan
from softshare.recipes import load_recipe


@dataclass(frozen=True)
class Table:
    """A table of the paper and what follows from our runs.

    Attributes:
        entries: Its lines in the paper's order, quoted ones too.
    """

    experiment: Experiment
    paper: PaperTable
    scale: str
    entries: tuple[Line | QuotedLine, ...]

    @property
    def lines(self) -> list[Line]:
        """The lines that are run."""
        return [entry for entry in self.entries if isinstance(entry, Line)]

    @property
    def beside(self) -> list[str]:
        """What the paper prints besides errors, by its keys."""
        return [key for key in BESIDE if any(key in entry.row.beside for entry in self.entries)]

    @property
    def notes(self) -> list[str]:
        """What a reader should know of single rows and lines, each led by its name."""
        rows = {entry.row.label: entry.row.note for entry in self.entries if entry.row.note}
        of_lines = [f"{line.row.label}, {line.dataset}: {note}" for line in self.lines for note in line.notes]
        return [*(f"{label}: {note}" for label, note in rows.items()), *self._cautions_beside(), *of_lines]

    def _cautions_beside(self) -> list[str]:
        """Of what stands beside, each caution once, with the rows that it is of."""
        cautions: dict[str, list[str]] = {}
        for key in self.beside:
            for line in self.lines:
                if line.evidence.complete and (caution := BESIDE[key].caution(line.evidence.complete)):
                    cautions.setdefault(caution, []).append(line.row.label)
        return [f"{'; '.join(labels)}: {caution}" for caution, labels in cautions.items()]


def write_table(plan: Plan, name: str, results: Path, out_dir: Path) -> list[Path]:
    """Writes `<name>.md`, `<name>.tex`, `<name>.csv` and `<name>.html` from the run folders that are there.

    Args:
        plan: What was to be run.
        name: An experiment of kind `table`.
        results: `results/<scale>`.
        out_dir: Where to write.

    Returns:
        The files written.

    Raises:
        UserError: No such table, or the paper's numbers for it cannot be read.
    """
    find_experiment(plan, name, "table")
    table = build_table(gather(plan, results), name)
    texts = {"md": to_markdown(table), "tex": to_latex(table), "csv": to_csv(table), "html": to_page(table)}
    for ending, text in texts.items():
        write_text(out_dir / f"{name}.{ending}", text)
    return [out_dir / f"{name}.{ending}" for ending in texts]


def build_table(evidence: Evidence, name: str) -> Table:
    """Judges every cell of a table.

    Raises:
        UserError: The paper's numbers cannot be read, or do not fit the experiment.
    """
    experiment = evidence.plan.experiment(name)
    paper = read_reported(experiment)
    epochs = {
        recipe: (
            load_recipe(recipe)["epochs"],
            load_recipe(recipe, evidence.plan.scale)["epochs"],
        )
        for recipe in {cell.paper.recipe for cell in experiment.cells}
    }
    lines = {
        (found.cell.row, found.cell.paper.dataset): judged_line(
            found, _base(found, evidence, experiment), paper, epochs[found.cell.paper.recipe]
        )
        for found in evidence.cells[name]
    }
    entries = [
        lines.get((row, dataset)) or quoted_line(row, dataset, paper)
        for row in experiment.rows
        for dataset in experiment.datasets
    ]
    return Table(experiment, paper, evidence.plan.scale.name, tuple(entries))


def to_markdown(table: Table, *, title: bool = True) -> str:
    """The table for a reader, with its notes and, if asked for, its title."""
    cells = _shown_cells(table).map(markdown)
    parts = [f"**{markdown(table.experiment.title)}** (scale: {table.scale})"] if title else []
    parts.append(_pipe(cells))
    if table.notes:
        parts.append("\n".join(f"- {markdown(note)}" for note in table.notes))
    return "\n\n".join(parts) + "\n"


def to_latex(table: Table) -> str:
    r"""The table for a paper; the document that inputs it needs `\usepackage{booktabs}`."""
    cells = _shown_cells(table).map(latex)
    cells.columns = cells.columns.map(latex)
    more = "r" * 2 * len(table.beside) + ("l" if table.experiment.compare_with else "")
    text = cells.to_latex(
        index=False,
        escape=False,
        column_format=rf"llrrp{{0.22\linewidth}}rrrrl{more}l",
        caption=latex(f"{table.experiment.title} (scale: {table.scale})"),
        label=f"tab:{table.experiment.name}",
    )
    # A float starts from the document's own size: the small one has to stand inside it.
    size = "tiny" if table.beside else "scriptsize"
    small = f"\\{size}\\setlength{{\\tabcolsep}}{{2pt}}\n\\begin{{tabular}}"
    head = "% Written by softshare. Needs \\usepackage{booktabs}; wide enough for a page in landscape.\n"
    return head + text.replace("\\begin{tabular}", small, 1)


def to_csv(table: Table) -> str:
    """The plain numbers at full precision; empty where nobody measured."""
    rows = [plain(entry, table.beside, table.experiment.compare_with) for entry in table.entries]
    # As objects: a column of whole numbers stays one where a quoted row leaves it empty.
    # The columns of a row that is run, wherever the first one stands.
    columns = list(rows[max(range(len(rows)), key=lambda index: len(rows[index]))])
    return pd.DataFrame(rows, columns=columns, dtype=object).to_csv(index=False, lineterminator="\n")


def to_page(table: Table) -> str:
    """The table as a page by itself."""
    return table_page(f"{table.experiment.title} (scale: {table.scale})", _shown_cells(table), table.notes)


def _base(found: CellEvidence, evidence: Evidence, experiment: Experiment) -> CellEvidence | None:
    """The cell that a cell is compared with: of the row that the experiment names, on the same dataset."""
    place = (experiment.compare_with, found.cell.paper.dataset)
    cells = evidence.cells[experiment.name]
    base = next((other for other in cells if (other.cell.row, other.cell.paper.dataset) == place), None)
    return None if base is found else base


def _shown_cells(table: Table) -> pd.DataFrame:
    return pd.DataFrame([shown(entry, table.beside, table.experiment.compare_with) for entry in table.entries])


def to_pipe(rows: list[dict[str, str]]) -> str:
    """Rows as a Markdown table, shown as they stand; empty where there are none."""
    return _pipe(pd.DataFrame(rows, dtype=object).fillna("").map(markdown)) if rows else ""


def _pipe(cells: pd.DataFrame) -> str:
    align = ["right" if name in RIGHT else "left" for name in cells.columns]
    return cells.to_markdown(index=False, tablefmt="pipe", disable_numparse=True, colalign=align)
