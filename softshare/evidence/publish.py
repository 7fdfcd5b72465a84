"""`softshare publish`: what a scale found, kept in `reports/published/<scale>/`; nothing heavy, nothing half-copied."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from softshare.errors import UserError
from softshare.evidence.gather import gather
from softshare.evidence.runfolder import Record, State
from softshare.plan import Plan

# Of the scale, and of each complete run; weights and checkpoints stay behind.
_OF_SCALE = ("report.md", "report.html", "claims.md", "claims.csv", "claims.json", "tables/*", "figures/*")
_OF_RUN = (
    "metrics.json",
    "manifest.json",
    "history.csv",
    "similarity.npz",
    "folding/folding.json",
    "folding/folding.csv",
)
_LARGEST = 5_000_000  # bytes of one file


def publish(plan: Plan, results: Path, out: Path, *, allow_dirty: bool = False) -> list[Path]:
    """Copies tables, figures, claims, the report, and each complete run's metrics and manifest.

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
    files = [file for pattern in _OF_SCALE for file in sorted(results.glob(pattern)) if file.is_file()]
    files += [file for record in complete for file in _files_of(record, results)]
    for file in files:
        if file.stat().st_size > _LARGEST:
            raise UserError(f"is too large to publish ({file.stat().st_size:,} bytes)", file=file)
    relative = [file.relative_to(results) for file in files]
    _copy_whole(results, relative, out)
    return relative


def _files_of(record: Record, results: Path) -> list[Path]:
    folder = results / record.folder
    return [folder / name for name in _OF_RUN if (folder / name).is_file()]


def _copy_whole(source: Path, files: list[Path], out: Path) -> None:
    """Copies beside `out` first, so that what stands there is replaced by all of it or left as it is."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as temporary:
            fresh, old = Path(temporary) / "new", Path(temporary) / "old"
            for file in files:
                (fresh / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / file, fresh / file)
            with contextlib.suppress(FileNotFoundError):
                out.rename(old)
            fresh.rename(out)
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror or error})", file=out) from error
