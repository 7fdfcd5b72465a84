"""A forecast that was written: read back, and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from softshare.errors import UserError
from softshare.evidence.runs.checks import UnusableError, check_number
from softshare.evidence.runs.runfolder import Code
from softshare.files import read_json
from softshare.runtimes import FORECAST

_SHORTEST = 1e-6  # seconds; nothing is divided by a forecast of none


@dataclass(frozen=True)
class Expected:
    """What a forecast tells of a run.

    Attributes:
        seconds: On the device; of several processes, those of all together, as a manifest counts.
        threads: That it holds where it computes on a CPU.
        processes: That it is made by.
    """

    seconds: float
    threads: int
    processes: int


@dataclass(frozen=True)
class Foretold:
    """A forecast.

    Attributes:
        made: When it was written.
        code: That it was made with.
        device: For which device, by the name that a manifest has for it.
        precision: Of the convolutions.
        on_gpu: Whether that is a GPU.
        runs: What it tells of each, by its name such as `cifar10/swrn-28-10/cifar/seed0`.
    """

    made: datetime
    code: Code
    device: str
    precision: str
    on_gpu: bool
    runs: Mapping[str, Expected]


def read_forecast(results: Path, scale: str) -> Foretold | None:
    """The forecast that `softshare forecast --out` wrote; None where there is none.

    Args:
        results: `results/<scale>`.
        scale: The name of the scale.

    Raises:
        UserError: The file is there and no forecast of the scale.
    """
    file = results / FORECAST
    if not file.is_file():
        return None
    try:
        return parse_forecast(read_json(file), scale)
    except UnusableError as error:
        raise UserError(f"is no forecast ({error})", file=file, remedy="delete it") from None


def parse_forecast(content: Any, scale: str) -> Foretold:
    """A forecast as the JSON that is written of it.

    Raises:
        UnusableError: It is none, or one of another scale.
    """
    if not isinstance(content, dict):
        raise UnusableError("no JSON object")
    if content.get("scale") != scale:
        raise UnusableError(f"scale is {content.get('scale')!r:.40} in place of {scale!r}")
    on_gpu, rows, made = "gpus" in content, content.get("runs"), moment(content.get("made"))
    if not on_gpu and "cores" not in content:
        raise UnusableError("neither gpus nor cores are told")
    if made is None:
        raise UnusableError(f"made is no time of a known zone: {content.get('made')!r:.40}")
    if not isinstance(rows, list) or not rows:
        raise UnusableError("runs are missing")
    processes = content.get("gpus_per_run", {})
    if not isinstance(processes, dict):
        raise UnusableError("gpus_per_run are no object")
    for dataset, count in processes.items():
        check_number(count, f"gpus_per_run of {dataset!r:.40}", low=1, whole=True)
    runs: dict[str, Expected] = {}
    for row in rows:
        name = row.get("run") if isinstance(row, dict) else None
        if not isinstance(name, str) or name in runs:
            raise UnusableError(f"a run is not named, or twice: {name!r:.80}")
        check_number(row.get("seconds"), f"seconds of {name!r:.80}", low=_SHORTEST)
        check_number(row.get("threads"), f"threads of {name!r:.80}", low=1, whole=True)
        together = processes.get(name.partition("/")[0], 1) if on_gpu else 1
        runs[name] = Expected(float(row["seconds"]), row["threads"], together)
    commit, dirty = content.get("commit"), content.get("dirty")
    code = Code(None if commit is None else _text(commit, "commit"), None if dirty is None else bool(dirty))
    device, precision = (_text(content.get(key), key) for key in ("device", "precision"))
    return Foretold(made, code, device, precision, on_gpu, runs)


def _text(value: object, name: str) -> str:
    # JSON may hold halves of characters, which no page can be written with.
    if not isinstance(value, str) or value.encode(errors="replace").decode() != value:
        raise UnusableError(f"{name} is no text: {value!r:.40}")
    return value


def moment(text: object) -> datetime | None:
    """A time as manifests and forecasts tell it; None where it is none, or of no known zone."""
    try:
        told = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return told if told is not None and told.tzinfo is not None else None
