"""`bench.md`: a bench's rows as a page that names the machine, the versions and how many rounds were taken."""

from __future__ import annotations

from typing import Any

import pandas as pd
from tabulate import tabulate

_HOLDS = {"yes": "holds", "no": "**missed**", "": "no bound"}


def bench_page(table: pd.DataFrame, machine: dict[str, Any], bounds: dict[str, str]) -> str:
    """The page.

    Args:
        table: Rows of `run_benches`: name, value, unit, bound, holds.
        machine: What they were measured on, as in the bench's manifest.
        bounds: All bounds by name; those of which nothing was measured are listed.
    """
    rows = [
        [row["name"], f"{row['value']:.4g}", row["unit"], row["bound"], _HOLDS[str(row["holds"])]]
        for row in table.to_dict("records")
    ]
    counts = table["holds"].value_counts()
    measured = set(table["name"])
    absent = [name for name in bounds if name not in measured]
    commit = str(machine.get("commit") or "unknown")[:12]
    lines = [
        "# Bench",
        "",
        f"{machine['device']}; {machine['threads']} threads, {machine['precision']}; "
        f"{'no GPU' if machine.get('gpu') is None else machine['gpu']}; {machine['rounds']} rounds, "
        f"of which a value is the median; {machine['finished']}, commit {commit}.",
        f"{counts.get('yes', 0)} bounds hold, {counts.get('no', 0)} are missed"
        + (f", {len(absent)} were not measured." if absent else "."),
        "",
        tabulate(rows, headers=["name", "value", "unit", "bound", ""], tablefmt="github", disable_numparse=True),
    ]
    if absent:
        lines += ["", f"Not measured: {', '.join(absent)}."]
    return "\n".join(lines) + "\n"
