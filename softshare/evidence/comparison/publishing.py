"""`softshare compare --publish`: the first folder's runs of a comparison, kept with the page that follows from them."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

from softshare.errors import UserError
from softshare.evidence.comparison.page import write_comparison
from softshare.evidence.comparison.side_by_side import compare
from softshare.evidence.publishing.publish import overlap, replace_published, require_clean, require_fit
from softshare.plan import Plan
from softshare.runfiles import HISTORY, MANIFEST, METRICS, SIMILARITY

_OF_RUN = (METRICS, MANIFEST, HISTORY, SIMILARITY)

# What tells of a published comparison, so that it is replaced by no scale, and no scale by it.
COMPARED = "comparison.json"


def publish_comparison(plan: Plan, first: Path, second: Path, out: Path, *, allow_dirty: bool = False) -> list[Path]:
    """Copies the runs of the first folder that the second holds too, and writes the comparison beside them.

    It is read off the copies, so that it comes out again from what is published. The second's runs stay where they are:
    they are another folder that was published.

    Args:
        plan: What was to be run.
        first: Results of its scale.
        second: Others.
        out: The folder to make, such as `reports/published/precision`.
        allow_dirty: Whether runs may be compared that were made with uncommitted changes.

    Returns:
        The files, relative to `out`.

    Raises:
        UserError: As of `compare`; a run of either made with uncommitted changes, a file too large, a link out of the
            results, or a folder that cannot be written or replaced.
    """
    for results in (first, second):
        if overlap(results, out):
            raise UserError(
                "is, holds or lies in what is compared",
                file=out,
                key="publish",
                remedy="name another folder; --out writes the page alone anew",
            )
    found = compare(plan, first, second)
    named = {
        first / each.records[0].folder / name: each.records[0].folder / name
        for each in found.runs
        for name in _OF_RUN
        if (first / each.records[0].folder / name).is_file()
    }
    for file in named:
        require_fit(file, first.resolve())
    if not allow_dirty:
        for side, results in enumerate(found.folders):
            require_clean([each.records[side] for each in found.runs], results)
    told = {"scale": plan.scale.name, "experiments": [e.name for e in plan.experiments], "runs": len(found.runs)}
    return replace_published(out, COMPARED, told, functools.partial(_build, plan, named, second))


def _build(plan: Plan, named: dict[Path, Path], second: Path, beside: Path) -> Path:
    """Beside the folder to publish, and so with the links of a page in it."""
    for file, name in named.items():
        copy = beside / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    write_comparison(compare(plan, beside, second), beside)
    for file in beside.rglob("*"):
        require_fit(file, beside.resolve())
    return beside
