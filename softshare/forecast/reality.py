"""The forecast against what was run: seconds forecast beside the `device_seconds` of the manifests that are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from softshare.errors import UserError
from softshare.evidence.runfolder import read_run
from softshare.files import read_json
from softshare.plan import Plan
from softshare.runtimes import FORECAST
from softshare.scales import Run, Setting


@dataclass(frozen=True)
class Reality:
    """What runs of a setting took, and what was forecast.

    Attributes:
        setting: As it was run.
        runs: Complete ones that a forecast was made for.
        device: That they ran on; several are told apart by commas.
        forecast: Mean seconds.
        took: Mean seconds.
    """

    setting: Setting
    runs: int
    device: str
    forecast: float
    took: float

    @property
    def ratio(self) -> float:
        """What it took over what was forecast."""
        return self.took / self.forecast


def compare(plan: Plan, results: Path, seconds: Mapping[str, float]) -> list[Reality]:
    """Holds a forecast against the complete runs of a plan.

    Args:
        plan: What was to be run.
        results: `results/<scale>`.
        seconds: Forecast, by run.
    """
    found: dict[Setting, list[tuple[float, float, str]]] = defaultdict(list)
    for run in plan.runs:
        record = read_run(results, run)
        if record.complete and str(run) in seconds:
            manifest = record.manifest
            row = (seconds[str(run)], float(manifest["device_seconds"]), str(manifest.get("device", "unknown")))
            found[run.setting].append(row)
    return [
        Reality(
            setting,
            len(rows),
            ", ".join(sorted({device for *_, device in rows})),
            mean(forecast for forecast, *_ in rows),
            mean(took for _, took, _ in rows),
        )
        for setting, rows in sorted(found.items())
    ]


def complete_runs(results: Path, runs: list[Run]) -> set[Run]:
    """Those of some runs that are complete."""
    return {run for run in runs if read_run(results, run).complete}


def earlier_forecast(results: Path) -> tuple[dict[str, float], str] | None:
    """Seconds by run and the device of the forecast that was written before, if any.

    Raises:
        UserError: The file is there and no forecast.
    """
    file = results / FORECAST
    if not file.is_file():
        return None
    content = read_json(file)
    try:
        return {row["run"]: float(row["seconds"]) for row in content["runs"]}, str(content["device"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"is no forecast ({error!r})", file=file, remedy="delete it") from None
