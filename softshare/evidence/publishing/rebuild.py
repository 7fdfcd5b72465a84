"""What was published, built anew from its runs' numbers and held against itself."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from softshare.errors import UserError
from softshare.evidence.forecasts.reading import read_forecast
from softshare.evidence.publishing.everything import build_everything
from softshare.evidence.publishing.publish import BENCH, OF_SCALE, PUBLISHED, overlap, require_fit
from softshare.files import read_json, written_whole
from softshare.plan import load_plan
from softshare.runtimes import FORECAST
from softshare.schemas import check


@dataclass(frozen=True)
class Rebuilt:
    """What was published and what came out of its metrics now.

    Attributes:
        same: Files that came out byte for byte.
        differing: Files that came out otherwise.
        missing: Files that were published and do not come out, or come out and were not published.
    """

    same: tuple[Path, ...]
    differing: tuple[Path, ...]
    missing: tuple[Path, ...]

    def __str__(self) -> str:
        lines = [f"{len(self.same)} files come out byte for byte"]
        lines += [f"{file}: differs" for file in self.differing] + [f"{file}: missing" for file in self.missing]
        return "\n".join(lines)


def rebuild(published: Path, out: Path | None = None) -> Rebuilt:
    """Builds a published scale's evidence anew from its published metrics alone.

    Args:
        published: A folder that `publish` made.
        out: Where to keep what comes out; nowhere by default.

    Raises:
        UserError: The folder was not made by `publish`, a configuration that it names is gone, its forecast is none, or
            `out` cannot be written.
    """
    if out is not None and overlap(published, out):
        raise UserError("is, holds or lies in what was published", file=out, key="out", remedy="name another folder")
    told = read_json(published / PUBLISHED)
    check(told, "published", published / PUBLISHED)
    plan = load_plan(told["scale"], told["experiments"])
    with tempfile.TemporaryDirectory(prefix="softshare-") as folder:
        fresh = Path(folder) / plan.scale.name
        try:
            for path in published.rglob("*"):
                if path.is_symlink() or not (path.is_file() or path.is_dir()):
                    raise UserError("is not a regular file or folder, which is all that is published", file=path)
                require_fit(path, published.resolve())
            shutil.copytree(published / "runs", fresh / "runs")
            if read_forecast(published, plan.scale.name) is not None:
                shutil.copyfile(published / FORECAST, fresh / FORECAST)
            if (published / BENCH).is_dir():
                shutil.copytree(published / BENCH, fresh.parent / BENCH.name)
            build_everything(plan, fresh, standalone=False)
            found = _compare(published, fresh)
            if out is not None:
                for file in (path for path in fresh.rglob("*") if path.is_file()):
                    with written_whole(out / file.relative_to(fresh)) as temporary:
                        shutil.copyfile(file, temporary)
        except OSError as error:
            raise UserError(f"cannot be copied ({error})", file=published) from error
        return found


def _compare(published: Path, fresh: Path) -> Rebuilt:
    names = {
        file.relative_to(folder)
        for folder in (published, fresh)
        for pattern in OF_SCALE
        for file in folder.glob(pattern)
    }
    same, differing, missing = [], [], []
    for name in sorted(names):
        if not ((published / name).is_file() and (fresh / name).is_file()):
            missing.append(name)
        elif (published / name).read_bytes() == (fresh / name).read_bytes():
            same.append(name)
        else:
            differing.append(name)
    return Rebuilt(tuple(same), tuple(differing), tuple(missing))
