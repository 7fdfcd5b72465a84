"""Which runs stay in another precision than the one that is named; no torch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from softshare.errors import UserError
from softshare.evidence.wording import in_words
from softshare.files import read_json
from softshare.plan import Plan
from softshare.runfiles import MANIFEST, METRICS


def left_in_others(plan: Plan, results: Path, precision: str) -> str:
    """A line that tells of complete runs in another precision than the one that is named; empty where there are none.

    Args:
        plan: Whose runs are meant.
        results: `results/<scale>`.
        precision: As in `config/config.yaml`; of `auto` each run takes what fits.
    """
    if precision == "auto":
        return ""
    found = Counter(precision_of(results / "runs" / run.folder) for run in plan.runs)
    others = [f"{count} in {name}" for name, count in found.items() if name not in (None, precision)]
    if not others:
        return ""
    told = in_words(sorted(others, key=lambda each: each.rpartition(" ")[2]))
    return (
        f"config/config.yaml: precision: {precision!r}: complete runs stay as they are, {told}, and runs of two"
        " precisions get no verdict; to train one anew, delete its folder"
    )


def precision_of(folder: Path) -> str | None:
    """What a complete run was trained in, as its manifest tells; None where none is complete, or none is told."""
    if not (folder / METRICS).is_file():
        return None
    try:
        manifest: Any = read_json(folder / MANIFEST)
    except UserError:
        return None  # said where the run is read
    precision = manifest.get("precision") if isinstance(manifest, dict) else None
    return precision if isinstance(precision, str) else None
