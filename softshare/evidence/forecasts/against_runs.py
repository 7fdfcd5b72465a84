"""A forecast held against what the runs took that were made after it, and as it said."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from softshare.evidence.forecasts.reading import Expected, Foretold, moment
from softshare.evidence.runs.runfolder import Record
from softshare.scales import Setting

# How far from the device time forecast that of all runs together may lie, as a part of it. Fixed in the issue that asks
# for the comparison, before any forecast was held against the runs that it was made for.
WITHIN = 0.15
_BOUND = f"{WITHIN:.0%}".replace("%", " %")


@dataclass(frozen=True)
class Reality:
    """What runs of a setting took, and what was forecast.

    Attributes:
        setting: As it was run.
        runs: Complete ones that are held against the forecast.
        forecast: Seconds of all of them.
        took: Seconds of all of them.
    """

    setting: Setting
    runs: int
    forecast: float
    took: float


@dataclass(frozen=True)
class Held:
    """A forecast, and what its runs took.

    Attributes:
        foretold: The forecast.
        settings: What is held against it, by setting.
        complete: Runs that it tells of and that are complete, be they held against it or not.
        elsewhere: Runs that it tells of and that were not asked for.
        left_out: Why other complete runs are not held against it, and how many.
        judged: Whether it was written before them; one that was not shows no foresight.
    """

    foretold: Foretold
    settings: tuple[Reality, ...]
    complete: int
    elsewhere: int
    left_out: Mapping[str, int]
    judged: bool

    @property
    def runs(self) -> int:
        """Those held against it."""
        return sum(each.runs for each in self.settings)

    @property
    def forecast(self) -> float:
        """Seconds of all of them, as forecast."""
        return sum(each.forecast for each in self.settings)

    @property
    def took(self) -> float:
        """Seconds that all of them took."""
        return sum(each.took for each in self.settings)


def began_after(foretold: Foretold, record: Record) -> bool | None:
    """Whether a complete run was started no earlier than the forecast was made; None where that is not recorded."""
    started = moment(record.manifest.get("started"))
    return None if started is None else started >= foretold.made


def hold(foretold: Foretold, records: Iterable[Record], *, judged: bool = True) -> Held:
    """Holds a forecast against the complete runs that were made as it said, and counts the others.

    Args:
        foretold: The forecast.
        records: Of a plan.
        judged: Whether it was written before them; of one made just now, when they began does not matter.
    """
    pairs: dict[Setting, list[tuple[float, float]]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    complete, asked_for = 0, set()
    for record in records:
        expected = foretold.runs.get(str(record.run))
        asked_for.add(str(record.run))
        if not record.complete:
            continue
        complete += expected is not None
        if expected is None:
            left_out["of which it does not tell"] += 1
        elif not _alike(foretold, expected, record):
            left_out[f"on {_place(record)}"] += 1
        elif judged and not (after := began_after(foretold, record)):
            left_out["whose start is not recorded" if after is None else "started before the forecast"] += 1
        else:
            pairs[record.run.setting].append((expected.seconds, float(record.manifest["device_seconds"])))
    settings = tuple(
        Reality(setting, len(of), sum(seconds for seconds, _ in of), sum(took for _, took in of))
        for setting, of in sorted(pairs.items())
    )
    elsewhere = len(foretold.runs.keys() - asked_for)
    return Held(foretold, settings, complete, elsewhere, dict(sorted(left_out.items())), judged)


def _alike(foretold: Foretold, expected: Expected, record: Record) -> bool:
    """Whether a run was made as it was forecast: seconds of another device, or of fewer threads, tell nothing of it."""
    manifest = record.manifest
    made = (record.device, manifest.get("precision"), manifest.get("processes", 1))
    threads = foretold.on_gpu or manifest.get("threads") == expected.threads
    return threads and made == (foretold.device, foretold.precision, expected.processes)


def _place(record: Record) -> str:
    """How a run was made, as far as forecasts tell it; on a GPU threads do not matter."""
    manifest = record.manifest
    identity, processes = manifest.get("identity"), manifest.get("processes", 1)
    names = {"device": record.device, "precision": manifest.get("precision")}
    told = [f"{name} not recorded" if value is None else str(value) for name, value in names.items()]
    if not (isinstance(identity, dict) and identity.get("device") == "cuda"):
        threads = manifest.get("threads")
        told.append("threads not recorded" if threads is None else _counted(threads, "thread"))
    if processes != 1:
        told.append(f"{processes} processes")
    return ", ".join(told)


def _counted(count: object, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def shown(held: Held) -> dict[str, Any]:
    """A forecast and what its runs took, for a reader.

    Returns:
        `of`, which forecast it is and what is held against it; `headings` and `rows` of a table, none where no run is;
        `total`, what all of them together say; `left_out`, a line for each reason.
    """
    rows = [
        _row(str(each.setting), each.runs, each.forecast / each.runs, each.took / each.runs) for each in held.settings
    ]
    if rows:
        rows.append(_row("in all, every run", held.runs, held.forecast, held.took))
    left_out = [f"not held against it: {_counted(count, 'run')} {why}" for why, count in held.left_out.items()]
    if held.elsewhere:
        left_out.append(f"not looked at: {_counted(held.elsewhere, 'run')} of other experiments")
    return {
        "of": _of(held),
        "headings": ["Run", "Seeds", "Forecast (s)", "Took (s)", "Took / forecast"],
        "rows": rows,
        "total": _total(held),
        "left_out": left_out,
    }


def _row(name: str, runs: int, forecast: float, took: float) -> list[str]:
    return [name, str(runs), f"{forecast:.1f}", f"{took:.1f}", f"{took / forecast:.2f}"]


def _of(held: Held) -> str:
    foretold = held.foretold
    on = f"{foretold.device}, {foretold.precision}"
    alike = f"on that device, in that precision, with as many {'' if foretold.on_gpu else 'threads and '}processes"
    if not held.judged:
        return f"Of the forecast above, made after the runs, for {on}: complete runs {alike}."
    code = f" at {foretold.code.words}" if foretold.code.commit else ""
    return (
        f"Of the forecast made {foretold.made.isoformat()}{code}, for {on}: complete runs that were not started before "
        f"it, {alike}. The bound, fixed beforehand: all of them together take within {_BOUND} of the time on the "
        "device that was forecast."
    )


def _total(held: Held) -> str:
    if not held.judged:
        return "Made after the runs, it is judged by none of them."
    told = len(held.foretold.runs)
    counted = f"{held.runs} of {_counted(told, 'run')}{' so far' if held.complete < told else ''}"
    if not held.runs:
        return f"{counted}."
    ratio = held.took / held.forecast
    # As many digits as leave it on its side of the bound.
    texts = (f"{ratio:.{digits}f}" for digits in range(2, 18))
    text = next(text for text in texts if _within(float(text)) == _within(ratio))
    return f"{counted}: in all took/forecast = {text}: {'within' if _within(ratio) else 'beyond'} {_BOUND}."


def _within(ratio: float) -> bool:
    return 1 - WITHIN <= ratio <= 1 + WITHIN
