"""A single table as a page by itself: what a browser, and Snakemake's own report, can show."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup

from softshare.evidence.tables.columns import RIGHT
from softshare.evidence.templates import fill
from softshare.files import project_root


def table_page(
    title: str,
    cells: pd.DataFrame,
    notes: Sequence[str] = (),
    about: str = "",
    more: Sequence[tuple[str, str, pd.DataFrame]] = (),
) -> str:
    """A self-contained page that holds one table, and what stands below it.

    Args:
        title: Its heading.
        cells: Plain text, shown as it stands.
        notes: What a reader should know, below it.
        about: What it shows, above it.
        more: Further tables: heading, what it shows, cells.
    """
    templates = project_root() / "reports" / "templates"
    context = {
        "title": title,
        "about": about,
        "columns": list(cells.columns),
        "rows": cells.to_dict("records"),
        "right": RIGHT,
        "notes": notes,
        "more": [
            {"title": heading, "about": shows, "columns": list(each.columns), "rows": each.to_dict("records")}
            for heading, shows, each in more
        ],
        "style": Markup((templates / "page.css").read_text(encoding="utf-8")),
    }
    return fill("table.html.j2", context, {})
