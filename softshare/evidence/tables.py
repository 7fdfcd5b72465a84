"""A table of the paper, filled with what was run: Markdown, LaTeX and CSV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from softshare.evidence.gather import CellEvidence, Evidence, find_experiment, gather
from softshare.evidence.markup import latex, markdown
from softshare.evidence.reported import PaperNumber, PaperRow, PaperTable, read_reported
from softshare.evidence.verdict import Judgement, judge
from softshare.files import write_text
from softshare.plan import Experiment, Plan, Setting, load_recipe

DASH = "\N{EN DASH}"


@dataclass(frozen=True)
class Line:
    """A number of the paper, our runs, and what follows.

    Attributes:
        evidence: The runs behind it.
        row: The paper's row.
        dataset: Name of the paper's dataset.
        number: The paper's number.
        decimals: How many of them the paper prints.
        judgement: What follows.
        epochs: Of the paper's training, and of the planned one.
        notes: What a reader should know of this line.
    """

    evidence: CellEvidence
    row: PaperRow
    dataset: str
    number: PaperNumber
    decimals: int
    judgement: Judgement
    epochs: tuple[int, int]
    notes: tuple[str, ...]

    @property
    def exact_parameters(self) -> int | None:
        """Parameters of the paper's network, worked out from its architecture."""
        return self.row.exact_parameters.get(self.evidence.cell.paper.dataset)


@dataclass(frozen=True)
class Table:
    """A table of the paper and what follows from our runs."""

    experiment: Experiment
    paper: PaperTable
    scale: str
    lines: tuple[Line, ...]

    @property
    def notes(self) -> list[str]:
        """What a reader should know of single lines, each led by its line's name."""
        return [f"{line.row.label}, {line.dataset}: {note}" for line in self.lines for note in line.notes]


def write_table(plan: Plan, name: str, results: Path, out_dir: Path, root: Path | None = None) -> list[Path]:
    """Writes `<name>.md`, `<name>.tex` and `<name>.csv` from the run folders that are there.

    Args:
        plan: What was to be run.
        name: An experiment of kind `table`.
        results: `results/<scale>`.
        out_dir: Where to write.
        root: Folder that holds `config/` and `reports/`; the project's by default.

    Returns:
        The files written.

    Raises:
        UserError: No such table, or the paper's numbers for it cannot be read.
    """
    find_experiment(plan, name, "table")
    table = build_table(gather(plan, results, root), name, root)
    texts = {"md": to_markdown(table), "tex": to_latex(table), "csv": to_csv(table)}
    for ending, text in texts.items():
        write_text(out_dir / f"{name}.{ending}", text)
    return [out_dir / f"{name}.{ending}" for ending in texts]


def build_table(evidence: Evidence, name: str, root: Path | None = None) -> Table:
    """Judges every cell of a table.

    Raises:
        UserError: The paper's numbers cannot be read, or do not fit the experiment.
    """
    experiment = evidence.plan.experiment(name)
    paper = read_reported(experiment, root)
    epochs = {
        recipe: (
            load_recipe(recipe, None, root)["epochs"],
            load_recipe(recipe, evidence.plan.scale, root)["epochs"],
        )
        for recipe in {cell.paper.recipe for cell in experiment.cells}
    }
    lines = tuple(_line(found, paper, epochs[found.cell.paper.recipe]) for found in evidence.cells[name])
    return Table(experiment, paper, evidence.plan.scale.name, lines)


def to_markdown(table: Table, *, title: bool = True) -> str:
    """The table for a reader, with its notes and, if asked for, its title."""
    cells = pd.DataFrame([_shown(line) for line in table.lines]).map(markdown)
    parts = [f"**{markdown(table.experiment.title)}** (scale: {table.scale})"] if title else []
    parts.append(_pipe(cells))
    if table.notes:
        parts.append("\n".join(f"- {markdown(note)}" for note in table.notes))
    return "\n\n".join(parts) + "\n"


def to_latex(table: Table) -> str:
    r"""The table for a paper; the document that inputs it needs `\usepackage{booktabs}`."""
    cells = pd.DataFrame([_shown(line) for line in table.lines]).map(latex)
    cells.columns = cells.columns.map(latex)
    text = cells.to_latex(
        index=False,
        escape=False,
        column_format=r"llrrp{0.22\linewidth}rrrrll",
        caption=latex(f"{table.experiment.title} (scale: {table.scale})"),
        label=f"tab:{table.experiment.name}",
    )
    # A float starts from the document's own size: the small one has to stand inside it.
    small = "\\scriptsize\\setlength{\\tabcolsep}{2pt}\n\\begin{tabular}"
    head = "% Written by softshare. Needs \\usepackage{booktabs}; wide enough for a page in landscape.\n"
    return head + text.replace("\\begin{tabular}", small, 1)


def to_csv(table: Table) -> str:
    """The plain numbers at full precision; empty where nobody measured."""
    return pd.DataFrame([_plain(line) for line in table.lines]).to_csv(index=False, lineterminator="\n")


def _line(found: CellEvidence, paper: PaperTable, epochs: tuple[int, int]) -> Line:
    cell = found.cell
    row, number = paper.rows[cell.row], paper.number(cell.row, cell.paper.dataset)
    departures = [*found.departures, *_unlike_the_paper(found, row, paper)]
    comparable = cell.run == cell.paper and not departures
    notes = [*departures, *found.cautions]
    notes += [f"seed {r.run.seed} left out: {r.reason}" for r in found.records if not r.complete and found.complete]
    return Line(
        evidence=found,
        row=row,
        dataset=paper.datasets[cell.paper.dataset].name,
        number=number,
        decimals=paper.decimals,
        judgement=judge(found.errors, number, comparable=comparable),
        epochs=epochs,
        notes=tuple(notes),
    )


def _unlike_the_paper(found: CellEvidence, row: PaperRow, paper: PaperTable) -> list[str]:
    """What keeps runs that bear the paper's names from answering its numbers."""
    if found.cell.run != found.cell.paper:
        return []  # what was run in its place is said in the row itself
    exact = row.exact_parameters.get(found.cell.paper.dataset)
    notes = [f"{count:,} parameters in place of {exact:,}" for count in found.values("parameters") if count != exact]
    for record in found.complete:
        for key, value in (paper.training | row.training).items():
            if record.settings.get(key) != value:
                notes.append(f"trained with {key} {record.settings.get(key)} in place of the paper's {value}")
        if "JPEG" in (source := record.manifest.get("dataset", {}).get("source", "")):
            notes.append(f"lossy images in place of the original pixels: {source}")
    return list(dict.fromkeys(notes))


def _shown(line: Line) -> dict[str, str]:
    found, judgement, decimals = line.evidence, line.judgement, line.decimals
    return {
        "Row": line.row.label,
        "Dataset": line.dataset,
        "Params, paper": line.row.parameters,
        "Params, run": ", ".join(f"{count:,}" for count in found.values("parameters")) or DASH,
        "What was run": _what_was_run(line),
        "n": f"{judgement.n} of {len(found.records)}" if found.records else "0",
        "Error (%)": _mean_and_sd(judgement, decimals),
        "Paper": f"{line.number.value:.{decimals}f}",
        "Difference": DASH if judgement.difference is None else _signed(judgement.difference, decimals),
        "95 % interval": DASH
        if judgement.interval is None
        else f"{judgement.interval[0]:.{decimals}f} to {judgement.interval[1]:.{decimals}f}",
        "Verdict": str(judgement.verdict),
    }


def _what_was_run(line: Line) -> str:
    cell, found = line.evidence.cell, line.evidence
    if cell.run is None:
        return "not run at this scale"
    paper_epochs, planned = line.epochs
    if not found.complete:
        return f"not run; planned: {_training(cell.run, str(planned))}"
    epochs = ", ".join(map(str, found.values("epochs")))
    ours, papers = _training(cell.run, epochs), _training(cell.paper, str(paper_epochs))
    return ours if ours == papers else f"{ours}; in place of {papers}"


def _training(setting: Setting, epochs: str) -> str:
    return f"{setting.model} on {setting.dataset}, {epochs} epochs, recipe {setting.recipe}"


def _mean_and_sd(judgement: Judgement, decimals: int) -> str:
    if judgement.mean is None:
        return "not run"
    mean = f"{judgement.mean:.{decimals}f}"
    return mean if judgement.sd is None else f"{mean} ± {judgement.sd:.{decimals}f}"


def _signed(value: float, decimals: int) -> str:
    text = f"{value:+.{decimals}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def _plain(line: Line) -> dict[str, object]:
    cell, found, judgement = line.evidence.cell, line.evidence, line.judgement
    low, high = judgement.interval or (None, None)
    return {
        "row": cell.row,
        "paper_dataset": cell.paper.dataset,
        "paper_model": cell.paper.model,
        "paper_epochs": line.epochs[0],
        "recipe": cell.paper.recipe,
        "run_dataset": cell.run.dataset if found.complete and cell.run else None,
        "run_model": cell.run.model if found.complete and cell.run else None,
        "run_epochs": " ".join(map(str, found.values("epochs"))) or None,
        "paper_parameters": line.row.parameters,
        "paper_parameters_exact": str(line.exact_parameters) if line.exact_parameters else None,
        "run_parameters": " ".join(map(str, found.values("parameters"))) or None,
        "n_planned": len(found.records),
        "n": judgement.n,
        "mean": judgement.mean,
        "sd": judgement.sd,
        "interval_low": low,
        "interval_high": high,
        "paper_value": line.number.value,
        "paper_n": line.number.n,
        "difference": judgement.difference,
        "band": judgement.band,
        "sd_used": judgement.sd_used,
        "verdict": str(judgement.verdict),
        "notes": "; ".join(line.notes) or None,
    }


def _pipe(cells: pd.DataFrame) -> str:
    right = {"Params, paper", "Params, run", "n", "Error (%)", "Paper", "Difference", "95 % interval"}
    align = ["right" if name in right else "left" for name in cells.columns]
    return cells.to_markdown(index=False, tablefmt="pipe", disable_numparse=True, colalign=align)
