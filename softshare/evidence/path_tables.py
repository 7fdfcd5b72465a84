"""The extrapolation matrices of Figure 5 as a table: Markdown, LaTeX, CSV and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from softshare.evidence.gather import find_experiment, gather
from softshare.evidence.markup import latex, markdown
from softshare.evidence.path_runs import PathRow, extrapolation_rows, path_rows, shown_extrapolation
from softshare.evidence.table_page import table_page
from softshare.evidence.tables import to_pipe
from softshare.files import write_text
from softshare.plan import Plan

_ABOUT = (
    "F1 over all pixels of each phase's test set, at the end of the phase that a network was trained up to; mean ± "
    "standard deviation between seeds, whose data and weights are drawn anew. Right of the diagonal it extrapolates."
)


def write_path_table(plan: Plan, name: str, results: Path, out_dir: Path) -> list[Path]:
    """Writes `<name>.md`, `<name>.tex`, `<name>.csv` and `<name>.html` from the run folders that are there.

    Args:
        plan: What was to be run.
        name: An experiment of kind `paths`.
        results: `results/<scale>`.
        out_dir: Where to write.

    Returns:
        The files written.

    Raises:
        UserError: No such experiment, or a file cannot be written.
    """
    experiment = find_experiment(plan, name, "paths")
    rows = path_rows(gather(plan, results).cells[name], results)
    title = f"{experiment.title} (scale: {plan.scale.name})"
    texts = {
        "md": _markdown(title, rows),
        "tex": _latex(title, name, rows),
        "csv": _csv(rows),
        "html": table_page(title, _shown_cells(rows), _left_out(rows), _ABOUT),
    }
    for ending, text in texts.items():
        write_text(out_dir / f"{name}.{ending}", text)
    return [out_dir / f"{name}.{ending}" for ending in texts]


def _markdown(title: str, rows: Sequence[PathRow]) -> str:
    left_out = "\n".join(f"- {markdown(text)}" for text in _left_out(rows))
    parts = [f"**{markdown(title)}**", to_pipe(list(shown_extrapolation(rows))), _ABOUT]
    return "\n\n".join([*parts, f"Left out:\n\n{left_out}"] if left_out else parts) + "\n"


def _latex(title: str, name: str, rows: Sequence[PathRow]) -> str:
    cells = _shown_cells(rows).map(latex)
    text = cells.rename(columns=latex).to_latex(
        index=False,
        escape=False,
        column_format="".join("l" if name in ("Row", "What was run", "Trained up to") else "r" for name in cells),
        caption=latex(f"{title}. {_ABOUT}"),
        label=f"tab:{name}",
    )
    small = "\\scriptsize\\setlength{\\tabcolsep}{2pt}\n\\begin{tabular}"
    head = "% Written by softshare. Needs \\usepackage{booktabs}; wide enough for a page in landscape.\n"
    return head + text.replace("\\begin{tabular}", small, 1)


def _shown_cells(rows: Sequence[PathRow]) -> pd.DataFrame:
    return pd.DataFrame(list(shown_extrapolation(rows)), dtype=object).fillna("")


def _left_out(rows: Sequence[PathRow]) -> list[str]:
    return [f"{row.label}: {'; '.join(row.missing)}" for row in rows if row.missing]


def _csv(rows: Sequence[PathRow]) -> str:
    return pd.DataFrame(list(extrapolation_rows(rows)), dtype=object).to_csv(index=False, lineterminator="\n")
