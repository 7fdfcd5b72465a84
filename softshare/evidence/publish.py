"""`softshare publish`: what a scale found, kept in `reports/published/<scale>/`; nothing heavy, nothing half-copied."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from softshare.errors import UserError
from softshare.evidence.gather import gather
from softshare.evidence.runfolder import Record, State
from softshare.files import require_writable, write_json
from softshare.lock import locked
from softshare.plan import Plan

# Of the scale, and of each complete run; weights and checkpoints stay behind.
OF_SCALE = ("report.md", "report.html", "claims.*", "tables/*", "figures/*")
_OF_RUN = (
    "metrics.json",
    "manifest.json",
    "history.csv",
    "similarity.npz",
    "folding/folding.json",
    "folding/folding.csv",
)
_EXAMPLES = "predictions.npz"  # the drawings show those of one seed
_LARGEST = 5_000_000  # bytes of one file

# What tells of a published scale, so that it can be built anew; and the bench, which stands beside the scale's runs.
PUBLISHED = "published.json"
BENCH = Path("bench")


def publish(plan: Plan, results: Path, out: Path, *, allow_dirty: bool = False) -> list[Path]:
    """Copies tables, figures, claims, report, each complete run's metrics and manifest, and the bench if it was run.

    What was published of the scale before is replaced, once all is copied.

    Args:
        plan: What was to be run.
        results: `results/<scale>`.
        out: The folder to make, such as `reports/published/compact`.
        allow_dirty: Whether runs may be published that were made with uncommitted changes.

    Returns:
        The files, relative to `out`.

    Raises:
        UserError: No complete run, no report, a run made with uncommitted changes, a file too large, or a folder that
            cannot be written.
    """
    if overlap(results, out):
        raise UserError(
            "is, holds or lies in the results themselves", file=out, key="out", remedy="name another folder"
        )
    complete = gather(plan, results).in_state(State.COMPLETE)
    if not complete:
        raise UserError("holds no complete run: nothing to publish", file=results)
    if not (results / "report.html").is_file():
        raise UserError("is missing", file=results / "report.html", remedy="build it: softshare report")
    dirty = [record for record in complete if record.manifest.get("dirty") is not False]
    if dirty and not allow_dirty:
        raise UserError(
            f"was made with uncommitted changes, or that is not recorded (of {len(dirty)} runs the first)",
            file=results / dirty[0].folder / "manifest.json",
            key="dirty",
            value=dirty[0].manifest.get("dirty"),
            remedy="make it again from a clean commit, or say --allow-dirty",
        )
    files = [file for pattern in OF_SCALE for file in sorted(results.glob(pattern)) if file.is_file()]
    files += [file for record in complete for file in _files_of(record, results)]
    files += _examples(complete, results)
    named = {file: file.relative_to(results) for file in files}
    bench = results.parent / BENCH
    named |= {file: BENCH / file.name for file in sorted(bench.glob("*")) if file.is_file()}
    for file in named:
        if file.stat().st_size > _LARGEST:
            raise UserError(f"is too large to publish ({file.stat().st_size:,} bytes)", file=file)
    told = {"scale": plan.scale.name, "experiments": [e.name for e in plan.experiments], "runs": len(complete)}
    _copy_whole(named, told, out)
    return [*named.values(), Path(PUBLISHED)]


def overlap(one: Path, other: Path) -> bool:
    """Whether two folders are the same, or one lies in the other."""
    one, other = one.resolve(), other.resolve()
    return one == other or one in other.parents or other in one.parents


def _files_of(record: Record, results: Path) -> list[Path]:
    folder = results / record.folder
    return [folder / name for name in _OF_RUN if (folder / name).is_file()]


def _examples(complete: list[Record], results: Path) -> list[Path]:
    """Predictions of the first seed of each setting."""
    first: dict[object, Path] = {}
    for record in complete:
        first.setdefault(record.run.setting, results / record.folder / _EXAMPLES)
    return [file for file in first.values() if file.is_file()]


def _copy_whole(named: dict[Path, Path], told: dict[str, Any], out: Path) -> None:
    """Copies beside `out` first, so that what stands there is replaced by all of it or left as it is.

    Between two renames, if a kill comes just then, what stood there lies in `<out>.before`; the next call takes it up.
    """
    require_writable(out.parent)
    with locked(out.with_name(f".{out.name}.lock"), out, "published"):
        _replace(named, told, out)


def _require_published(place: Path) -> None:
    """Refuses to put what is published in the place of anything else than what was published before."""
    if not os.path.lexists(place):
        return
    if place.is_symlink() or not place.is_dir():
        raise UserError("is no folder, and is not replaced", file=place, remedy="name another")
    if any(place.iterdir()) and not (place / PUBLISHED).is_file():
        raise UserError(
            f"holds no {PUBLISHED}, so nobody published it; it is not replaced",
            file=place,
            remedy="name another folder",
        )


def _replace(named: dict[Path, Path], told: dict[str, Any], out: Path) -> None:
    fresh, before = out.with_name(f".{out.name}.new"), out.with_name(f"{out.name}.before")
    for place in (out, before):
        _require_published(place)
    try:
        if before.is_dir() and not out.exists():
            before.rename(out)
        for left in (fresh, before):  # by a call that was killed
            if left.is_dir():
                shutil.rmtree(left)
        for file, name in named.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, fresh / name)
        write_json(fresh / PUBLISHED, told)
        if out.exists():
            out.rename(before)
        fresh.rename(out)
        shutil.rmtree(before, ignore_errors=True)
    except (OSError, UserError) as error:
        if before.is_dir() and not out.exists():
            before.rename(out)
        shutil.rmtree(fresh, ignore_errors=True)
        if isinstance(error, UserError):
            raise
        raise UserError(f"cannot be written ({error.strerror or error})", file=out) from error
