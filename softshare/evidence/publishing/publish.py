"""`softshare publish`: what a scale found, kept in `reports/published/<scale>/`; nothing heavy, nothing half-made."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from softshare.errors import UserError
from softshare.evidence.forecasts.reading import read_forecast
from softshare.evidence.publishing.everything import build_everything
from softshare.evidence.runs.gather import gather
from softshare.evidence.runs.runfolder import Record, State
from softshare.files import read_json, require_writable, write_json
from softshare.lock import locked
from softshare.plan import Plan
from softshare.runfiles import DIVERGED, FOLDING, FOLDING_COSTS, HISTORY, MANIFEST, METRICS, PREDICTIONS, SIMILARITY
from softshare.runtimes import FORECAST

# Built of the scale, and copied of each complete run; weights and checkpoints stay behind.
OF_SCALE = ("report.md", "report.html", "claims.*", "tables/*", "figures/*")
_OF_RUN = (METRICS, MANIFEST, HISTORY, SIMILARITY, FOLDING.as_posix(), FOLDING_COSTS.as_posix())
_OF_BENCH = ("bench.csv", "bench.md", "manifest.json")
_EXAMPLES = PREDICTIONS  # the drawings show those of one seed
_LARGEST = 5_000_000  # bytes of one file
_DIRTY = "was made with uncommitted changes, or that is not recorded"
_FROM_CLEAN = "make it again from a clean commit, or say --allow-dirty"

# What tells of a published scale, so that it can be built anew; and the bench, which stands beside the scale's runs.
PUBLISHED = "published.json"
BENCH = Path("bench")


def publish(plan: Plan, results: Path, out: Path, *, allow_dirty: bool = False) -> list[Path]:
    """Copies each complete run's metrics and manifest, and forecast and bench where there are, and builds all evidence.

    Of a run that diverged what tells of it is copied too, for it is a result.
    So what is published says nothing that does not follow from what lies beside it, whatever was built in the results.
    What was published of the scale before is replaced, once all is there.

    Args:
        plan: What was to be run.
        results: `results/<scale>`.
        out: The folder to make, such as `reports/published/compact`.
        allow_dirty: Whether what was made with uncommitted changes may be published: runs, foldings, the bench.

    Returns:
        The files, relative to `out`.

    Raises:
        UserError: No complete run; a run, a folding or a bench made with uncommitted changes; a damaged forecast; a
            file too large, a link out of the results, or a folder that cannot be written.
    """
    if overlap(results, out):
        raise UserError(
            "is, holds or lies in the results themselves", file=out, key="out", remedy="name another folder"
        )
    found = gather(plan, results)
    complete = found.in_state(State.COMPLETE)
    if not complete:
        raise UserError("holds no complete run: nothing to publish", file=results)
    runs = [file for record in complete for file in _files_of(record, results)] + _examples(complete, results)
    runs += [results / record.folder / DIVERGED for record in found.in_state(State.UNUSABLE) if record.diverged]
    named = {file: file.relative_to(results) for file in runs}
    if read_forecast(results, plan.scale.name) is not None:
        named[results / FORECAST] = Path(FORECAST)
    bench = results.parent / BENCH
    named |= {bench / name: BENCH / name for name in _OF_BENCH if (bench / name).is_file()}
    for file, name in named.items():
        require_fit(file, (bench if name.parent == BENCH else results).resolve())
    if not allow_dirty:
        require_clean(complete, results)
        measured = [bench / "manifest.json"] if bench / "bench.csv" in named else []
        for file in (*(each for each in runs if each.name in (FOLDING.name, DIVERGED)), *measured):
            _require_clean_file(file)
    told = {"scale": plan.scale.name, "experiments": [e.name for e in plan.experiments], "runs": len(complete)}
    return replace_published(out, PUBLISHED, told, functools.partial(_build, plan, named))


def replace_published(out: Path, marker: str, told: dict[str, Any], make: Callable[[Path], Path]) -> list[Path]:
    """Puts what `make` makes in the place of what was published there before, whole or not at all.

    Args:
        out: The folder to publish.
        marker: The file in it by which it is known to be published; a folder without it is not replaced.
        told: What that file tells.
        make: Makes the folder at or below a place beside `out`, and gives it.

    Returns:
        The files, relative to `out`.

    Raises:
        UserError: Something else stands there, another process publishes there, or it cannot be written.
    """
    require_writable(out.parent)
    with locked(out.with_name(f".{out.name}.lock"), out, "published"):
        _replace(out, marker, told, make)
    return sorted(file.relative_to(out) for file in out.rglob("*") if file.is_file())


def require_clean(complete: Sequence[Record], results: Path) -> None:
    """Refuses runs that were made with uncommitted changes, or whose manifest does not tell."""
    dirty = [record for record in complete if not record.clean]
    if dirty:
        raise UserError(
            f"{_DIRTY} (of {len(dirty)} runs the first)",
            file=results / dirty[0].folder / MANIFEST,
            key="dirty",
            value=dirty[0].manifest.get("dirty"),
            remedy=_FROM_CLEAN,
        )


def require_fit(file: Path, within: Path) -> None:
    """Refuses what is published by no one's leave: what a link leads to, and what is heavy."""
    if file.is_symlink() or not file.resolve().is_relative_to(within):
        raise UserError("is a link, or behind one that leads out of the results", file=file, remedy="copy it there")
    if file.stat().st_size > _LARGEST:
        raise UserError(f"is too large to publish ({file.stat().st_size:,} bytes)", file=file)


def overlap(one: Path, other: Path) -> bool:
    """Whether two folders are the same, or one lies in the other."""
    one, other = one.resolve(), other.resolve()
    return one == other or one in other.parents or other in one.parents


def _require_clean_file(file: Path) -> None:
    """As `require_clean`, of what is no run and tells by itself how it was made."""
    told = read_json(file) if file.is_file() else {}
    dirty = told.get("dirty") if isinstance(told, dict) else None
    if dirty is not False:
        raise UserError(_DIRTY, file=file, key="dirty", value=dirty, remedy=_FROM_CLEAN)


def _files_of(record: Record, results: Path) -> list[Path]:
    folder = results / record.folder
    return [folder / name for name in _OF_RUN if (folder / name).is_file()]


def _examples(complete: list[Record], results: Path) -> list[Path]:
    """Predictions of the first seed of each setting."""
    first: dict[object, Path] = {}
    for record in complete:
        first.setdefault(record.run.setting, results / record.folder / _EXAMPLES)
    return [file for file in first.values() if file.is_file()]


def _require_published(place: Path, marker: str) -> None:
    """Refuses to put what is published in the place of anything else than what was published before."""
    if not os.path.lexists(place):
        return
    if place.is_symlink() or not place.is_dir():
        raise UserError("is no folder, and is not replaced", file=place, remedy="name another")
    if any(place.iterdir()) and not (place / marker).is_file():
        raise UserError(
            f"holds no {marker}, so nobody published it; it is not replaced",
            file=place,
            remedy="name another folder",
        )


def _replace(out: Path, marker: str, told: dict[str, Any], make: Callable[[Path], Path]) -> None:
    """Makes all beside `out` first, so that what stands there is replaced by the whole or left as it is.

    Between two renames, if a kill comes just then, what stood there lies in `<out>.before`; the next call takes it up.
    """
    beside, before = out.with_name(f".{out.name}.new"), out.with_name(f"{out.name}.before")
    old = out.with_name(f".{out.name}.old")  # what is being deleted, and may be half of it
    for place in (out, before):
        _require_published(place, marker)
    try:
        if before.is_dir() and not out.exists():
            before.rename(out)
        if before.is_dir():  # a call was killed before it had deleted it
            before.rename(old)
        for left in (beside, old):
            if left.is_dir():
                shutil.rmtree(left)
        fresh = make(beside)
        write_json(fresh / marker, told)
        if out.exists():
            out.rename(before)
        fresh.rename(out)
        if before.is_dir():
            before.rename(old)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror or error})", file=out) from error
    finally:
        if before.is_dir() and not out.exists():
            before.rename(out)
        shutil.rmtree(beside, ignore_errors=True)


def _build(plan: Plan, named: dict[Path, Path], beside: Path) -> Path:
    """Copies what the evidence is built from, and builds it; gives its folder, below `beside`."""
    fresh = beside / plan.scale.name
    for file, name in named.items():
        copy = (beside if name.parent == BENCH else fresh) / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    build_everything(plan, fresh, standalone=False)  # which looks for the bench beside the scale
    if (beside / BENCH).is_dir():
        (beside / BENCH).rename(fresh / BENCH)
    for file in fresh.rglob("*"):
        require_fit(file, fresh.resolve())
    return fresh
