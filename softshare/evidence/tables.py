"""A table of the paper, filled with what was run: Markdown, LaTeX and CSV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from softshare.evidence.gather import CellEvidence, Evidence, find_experiment, gather
from softshare.evidence.lines import Line, judged_line
from softshare.evidence.markup import latex, markdown
from softshare.evidence.reported import PaperTable, read_reported
from softshare.evidence.verdict import Judgement
from softshare.files import write_text
from softshare.plan import Experiment, Plan, Setting
from softshare.recipes import load_recipe

DASH = "\N{EN DASH}"


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
    lines = tuple(
        judged_line(found, _base(found, evidence, experiment), paper, epochs[found.cell.paper.recipe])
        for found in evidence.cells[name]
    )
    return Table(experiment, paper, evidence.plan.scale.name, lines)


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
    compared = "l" if table.experiment.compare_with else ""
    text = cells.to_latex(
        index=False,
        escape=False,
        column_format=rf"llrrp{{0.22\linewidth}}rrrrl{compared}l",
        caption=latex(f"{table.experiment.title} (scale: {table.scale})"),
        label=f"tab:{table.experiment.name}",
    )
    # A float starts from the document's own size: the small one has to stand inside it.
    small = "\\scriptsize\\setlength{\\tabcolsep}{2pt}\n\\begin{tabular}"
    head = "% Written by softshare. Needs \\usepackage{booktabs}; wide enough for a page in landscape.\n"
    return head + text.replace("\\begin{tabular}", small, 1)


def to_csv(table: Table) -> str:
    """The plain numbers at full precision; empty where nobody measured."""
    compared = table.experiment.compare_with
    rows = [_plain(line) | (_plain_contrast(line, compared) if compared else {}) for line in table.lines]
    return pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")


def _base(found: CellEvidence, evidence: Evidence, experiment: Experiment) -> CellEvidence | None:
    """The cell that a cell is compared with: of the row that the experiment names, on the same dataset."""
    place = (experiment.compare_with, found.cell.paper.dataset)
    cells = evidence.cells[experiment.name]
    base = next((other for other in cells if (other.cell.row, other.cell.paper.dataset) == place), None)
    return None if base is found else base


def _shown_cells(table: Table) -> pd.DataFrame:
    cells = pd.DataFrame([_shown(line) for line in table.lines])
    if compared := table.experiment.compare_with:
        cells.insert(len(cells.columns) - 1, f"Minus {compared}", [_contrast(line) for line in table.lines])
    return cells


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
        "Paper": DASH if line.number is None else f"{line.number.value:.{decimals}f}",
        "Difference": DASH if judgement.difference is None else _signed(judgement.difference, decimals),
        "95 % interval": DASH
        if judgement.interval is None
        else " to ".join(_number(end, decimals) for end in judgement.interval),
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


def _contrast(line: Line) -> str:
    found, decimals = line.contrast, line.decimals
    if found is None:
        return DASH
    how = "Welch" if found.pairs is None else f"{found.pairs} pair{'s' if found.pairs > 1 else ''}"
    interval = "no interval"
    if found.interval is not None:
        interval = " to ".join(_signed(end, decimals) for end in found.interval)
    return f"{_signed(found.difference, decimals)} ({interval}; {how})"


def _number(value: float, decimals: int) -> str:
    return _signed(value, decimals).lstrip("+")


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
        "paper_value": None if line.number is None else line.number.value,
        "paper_n": None if line.number is None else str(line.number.n),
        "difference": judgement.difference,
        "band": judgement.band,
        "sd_used": judgement.sd_used,
        "verdict": str(judgement.verdict),
        "notes": "; ".join(line.notes) or None,
    }


def _plain_contrast(line: Line, compared: str) -> dict[str, object]:
    found = line.contrast
    low, high = (found.interval if found else None) or (None, None)
    return {
        "compared_with": compared if found else None,
        "compared_difference": found.difference if found else None,
        "compared_low": low,
        "compared_high": high,
        "compared_by": ("Welch" if found.pairs is None else "paired by seed") if found else None,
        "compared_pairs": str(found.pairs) if found and found.pairs is not None else None,
    }


def _pipe(cells: pd.DataFrame) -> str:
    right = {"Params, paper", "Params, run", "n", "Error (%)", "Paper", "Difference", "95 % interval"}
    align = ["right" if name in right else "left" for name in cells.columns]
    return cells.to_markdown(index=False, tablefmt="pipe", disable_numparse=True, colalign=align)
