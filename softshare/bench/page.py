"""`bench.md`: a bench's rows as a page that names the machine, the versions and how many rounds were taken."""

from __future__ import annotations

from typing import Any

import pandas as pd
from tabulate import tabulate

_HOLDS = {"yes": "holds", "no": "**missed**", "": "no bound"}
_PARTS = "parts."


def bench_page(table: pd.DataFrame, machine: dict[str, Any], bounds: dict[str, str]) -> str:
    """The page.

    Args:
        table: Rows of `run_benches`: name, value, unit, bound, holds, low, high, rounds.
        machine: What they were measured on, as in the bench's manifest.
        bounds: All bounds by name; those of which nothing was measured are listed.
    """
    of_parts = table["name"].str.startswith(_PARTS)
    counts = table["holds"].value_counts()
    measured = set(table["name"])
    absent = [name for name in bounds if name not in measured]
    commit = str(machine.get("commit") or "unknown")[:12]
    lines = [
        "# Bench",
        "",
        f"{machine['device']}{_size(machine)}; {machine['threads']} threads, {machine['precision']}; "
        f"{'no GPU' if machine.get('gpu') is None else machine['gpu']}; {machine['finished']}, commit {commit}; "
        f"{machine['minutes']:.1f} minutes.",
        f"{counts.get('yes', 0)} bounds hold, {counts.get('no', 0)} are missed"
        + (f", {len(absent)} were not measured." if absent else "."),
    ]
    if not of_parts.all():
        lines += [
            "",
            "A value is the median of its rounds, with their quartiles; what was taken once has none.",
            "",
            _rows(table[~of_parts]),
        ]
    if of_parts.any():
        lines += ["", "## Where a step's time goes", "", _parts(table[of_parts])]
    if absent:
        lines += ["", f"Not measured: {', '.join(absent)}."]
    return "\n".join(lines) + "\n"


def _size(machine: dict[str, Any]) -> str:
    """Cores and memory, which older manifests do not tell."""
    return f", {machine['cores']} cores, {machine['memory_gib']} GiB" if "cores" in machine else ""


def _rows(table: pd.DataFrame) -> str:
    rows = []
    for row in table.to_dict("records"):
        spread = "" if pd.isna(row["low"]) else f"{row['low']:.5g} to {row['high']:.5g}"
        rows.append(
            [
                row["name"], f"{row['value']:.5g}", spread, row["rounds"], row["unit"], row["bound"],
                _HOLDS[str(row["holds"])],
            ]
        )  # fmt: skip
    headers = ["name", "value", "quartiles", "rounds", "unit", "bound", ""]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def _parts(table: pd.DataFrame) -> str:
    """A row a network and batch, a column a part of its step."""
    keys = table["name"].str.removeprefix(_PARTS).str.rpartition(".")
    steps, parts = keys[0].unique(), keys[2].unique()
    told = [f"{row.value:.1%} ({row.low:.1%} to {row.high:.1%})" for row in table.itertuples()]
    shares = pd.Series(told, index=pd.MultiIndex.from_frame(keys[[0, 2]]))
    rows = [[step, *(shares[step, part] for part in parts)] for step in steps]
    page = tabulate(rows, headers=["step", *parts], tablefmt="github", disable_numparse=True)
    return f"{page}\n\nMedian and quartiles; synthesis lies within forward and backward."
