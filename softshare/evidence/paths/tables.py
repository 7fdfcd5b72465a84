"""Figure 5 and what stands beside it as tables: Markdown, LaTeX, CSV and a page; differences between rows below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from softshare.evidence.markup import latex, markdown
from softshare.evidence.paths import differences, statistics
from softshare.evidence.paths.differences import difference_rows, find_differences, shown_differences
from softshare.evidence.paths.runs import PathRow, extrapolation_rows, path_rows, shown_extrapolation
from softshare.evidence.paths.statistics import rows_with_anew, shown_statistics, statistics_rows
from softshare.evidence.runs.gather import find_experiment, gather
from softshare.evidence.tables.page import table_page
from softshare.evidence.tables.writing import to_pipe
from softshare.files import write_text
from softshare.plan import ON_PATHS, Experiment, Plan

_ABOUT = (
    "F1 over all pixels of each phase's test set, at the end of the phase that a network was trained up to; mean ± "
    "standard deviation between seeds, whose data and weights are drawn anew. Right of the diagonal it extrapolates."
)


@dataclass(frozen=True)
class _Table:
    """What is written in every format.

    Attributes:
        title: Its heading.
        about: What it shows.
        shown: Rows for a reader.
        plain: Rows for a program.
        left_out: Runs that are not shown, and why.
    """

    title: str
    about: str
    shown: list[dict[str, str]]
    plain: list[dict[str, Any]]
    left_out: tuple[str, ...] = ()

    @property
    def cells(self) -> pd.DataFrame:
        """The rows for a reader, all columns in all of them."""
        return pd.DataFrame(self.shown, dtype=object).fillna("")


def write_path_table(plan: Plan, name: str, results: Path, out_dir: Path) -> list[Path]:
    """Writes `<name>.md`, `<name>.tex`, `<name>.csv` and `<name>.html` from the run folders that are there.

    Where the experiment asks for differences between rows, they stand below, and plainly in `<name>-differences.csv`.

    Args:
        plan: What was to be run.
        name: An experiment on shortest paths.
        results: `results/<scale>`.
        out_dir: Where to write.

    Returns:
        The files written.

    Raises:
        UserError: No such experiment, or a file cannot be written.
    """
    experiment = find_experiment(plan, name, *ON_PATHS)
    cells = gather(plan, results).cells[name]
    table = _table(f"{experiment.title} (scale: {plan.scale.name})", experiment, path_rows(cells, results))
    tables = {name: table}
    if experiment.differences:
        found = find_differences(experiment, cells, results)
        rows = list(difference_rows(found))
        tables[f"{name}-differences"] = _Table(
            "Differences between rows", differences.ABOUT, shown_differences(found), rows
        )
    below = [(each.title, each.about, each.cells) for each in tables.values() if each is not table]
    texts = {
        f"{name}.md": "\n".join(map(_markdown, tables.values())),
        f"{name}.tex": _LATEX_HEAD + "\n".join(_latex(each, label) for label, each in tables.items()),
        f"{name}.csv": _csv(table),
        f"{name}.html": table_page(table.title, table.cells, table.left_out, table.about, below),
    } | {f"{label}.csv": _csv(each) for label, each in tables.items()}
    for file, text in texts.items():
        write_text(out_dir / file, text)
    return [out_dir / file for file in texts]


def _table(title: str, experiment: Experiment, rows: Sequence[PathRow]) -> _Table:
    if experiment.kind == "path-statistics":
        rows = rows_with_anew(rows)
        shown, plain, about = list(shown_statistics(rows)), list(statistics_rows(rows)), statistics.ABOUT
    else:
        shown, plain, about = list(shown_extrapolation(rows)), list(extrapolation_rows(rows)), _ABOUT
    left_out = tuple(f"{row.label}: {'; '.join(row.missing)}" for row in rows if row.missing)
    return _Table(title, about, shown, plain, left_out)


def _markdown(table: _Table) -> str:
    left_out = "\n".join(f"- {markdown(text)}" for text in table.left_out)
    parts = [f"**{markdown(table.title)}**", to_pipe(table.shown), markdown(table.about)]
    return "\n\n".join([*parts, f"Left out:\n\n{left_out}"] if left_out else parts) + "\n"


_LATEX_HEAD = "% Written by softshare. Needs \\usepackage{booktabs}; wide enough for a page in landscape.\n"
_WORDS = ("Row", "What was run", "Trained up to", "Minus", "Statistics", "Note")  # columns of words


def _latex(table: _Table, label: str) -> str:
    cells = table.cells.map(latex)
    text = cells.rename(columns=latex).to_latex(
        index=False,
        escape=False,
        column_format="".join("l" if name in _WORDS else "r" for name in cells),
        caption=latex(f"{table.title}. {table.about}"),
        label=f"tab:{label}",
    )
    small = "\\scriptsize\\setlength{\\tabcolsep}{2pt}\n\\begin{tabular}"
    return text.replace("\\begin{tabular}", small, 1)


def _csv(table: _Table) -> str:
    return pd.DataFrame(table.plain, dtype=object).to_csv(index=False, lineterminator="\n")
