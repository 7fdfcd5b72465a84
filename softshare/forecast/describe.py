"""A forecast in words: Markdown for a reader, JSON for what is compared with it later."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from tabulate import tabulate

from softshare.evidence.forecasts.against_runs import Held, shown
from softshare.forecast.budget import Purchase
from softshare.forecast.makespan import makespan, peak_disk
from softshare.forecast.power import Need
from softshare.forecast.predict import Forecast, RunForecast
from softshare.names import PHOTOGRAPHS
from softshare.scales import Run
from softshare.training.record import provenance

_UNIT = {True: "GPU-hours", False: "device-hours"}


def describe(forecast: Forecast, units: int, a_part: bool = False) -> str:
    """The bill, by experiment, in all and by network.

    Args:
        forecast: The bill.
        units: GPUs or cores that the plan may take at once.
        a_part: Whether the scale has other experiments too.
    """
    speed, plan = forecast.speed, forecast.plan
    what = "GPU" if speed.on_gpu else "core"
    least = " At a data sheet's peak: the fewest hours possible, never reached." if speed.basis == "peak" else ""
    rows = [_total(e.name, e.runs, forecast, units) for e in plan.experiments]
    rows.append(_total("in all, each run once", plan.runs, forecast, units))
    headers = [
        "experiment",
        "runs",
        "steps",
        "PFLOP",
        _UNIT[speed.on_gpu],
        "wall hours",
        "GB kept",
        "kWh at full power",
    ]
    if speed.watts is None:
        headers, rows = headers[:-1], [row[:-1] for row in rows]
    whole = makespan(forecast, plan.runs, units)
    parts = [
        f"# Forecast: scale {plan.scale.name}",
        f"On {speed.device}, {speed.precision}; {speed.source}.{least}",
        *([f"Of these experiments only: {', '.join(e.name for e in plan.experiments)}."] if a_part else []),
        _table(rows, headers),
        f"Wall hours are those of {units} {what}{'s' if units > 1 else ''}, the longest run first: all in "
        f"{whole.makespan / 3600:.2f} h, which no schedule can bring below {whole.bound / 3600:.2f} h. Training and "
        f"folding are counted; data, tables, figures and the report are not.{_several(forecast)}",
        f"Disk: at most {peak_disk(forecast, plan.runs, whole) / 1e9:.2f} GB at once, what is kept and the checkpoints "
        "of runs that train (two each, for one is written before the other goes). Not counted: datasets, their caches "
        "and .beton files, other files of a run, and checkpoints that stopped runs leave.",
        "## Networks",
        _table(_networks(forecast), ["run", "seeds", "steps", "PFLOP", "hours each", "GB of memory", "how"]),
        "PFLOP are counted on the real network (a multiplication and an addition are two), evaluation included. Memory "
        "is that of a step in fp32; kernels' workspaces and the data come on top.",
    ]
    return "\n\n".join(parts) + "\n"


def _several(forecast: Forecast) -> str:
    """In words, which runs take several GPUs and what is assumed of them."""
    if not forecast.gpus_per_run:
        return ""
    held = ", ".join(f"on {dataset} {count} GPUs" for dataset, count in sorted(forecast.gpus_per_run.items()))
    # One GPU replays recorded steps, but for those in fp16 (`training.job`); photographs are not measured.
    recorded = forecast.speed.here is not None and forecast.speed.precision != "fp16"
    recorded &= bool(set(forecast.gpus_per_run) - set(PHOTOGRAPHS))
    slower = " Nor was it that steps on several GPUs are not recorded, as those timed on one are: they take longer."
    return (
        f" A run holds {held} at once, and is taken to divide evenly among them: what they lose to each other was not "
        f"measured.{slower if recorded else ''} Hours by network are those of one GPU."
    )


def describe_needs(needs: Sequence[Need], hours: dict[str, float | None]) -> str:
    """The seeds that claims need, and what these cost by themselves.

    Args:
        needs: Of the claims.
        hours: Of a device, by claim; None where its runs are not made at the scale.
    """
    rows = [
        [
            need.claim, need.kind, "none" if need.seeds is None else need.seeds,
            "" if need.seeds is None or (cost := hours[need.claim]) is None else f"{cost:.2f}", need.why,
        ]
        for need in needs
    ]  # fmt: skip
    table = _table(rows, ["claim", "test", "seeds", "hours alone", "why"])
    return f"## Seeds that claims need for 80 % power\n\n{table}\n"


def describe_purchase(bought: Purchase | None, free: Sequence[str], budget_hours: float) -> str:
    """What a budget buys.

    Args:
        bought: Claims, runs and foldings; None where there is nothing to be bought.
        free: Claims that need no run.
        budget_hours: The budget.
    """
    parts = [f"## What {budget_hours:g} hours buy"]
    if bought is not None:
        exact = (
            "no choice answers more for less" if bought.exact else "the best found in its time, perhaps not the best"
        )
        seeds: dict[tuple[str, str], list[int]] = {}
        for piece in bought.pieces:
            what = "fold" if piece.folding else "train"
            seeds.setdefault((str(piece.run.setting), what), []).append(piece.run.seed)
        rows = [[setting, what, ", ".join(map(str, of))] for (setting, what), of in seeds.items()]
        runs = sum(not piece.folding for piece in bought.pieces)
        parts += [
            f"{len(bought.claims)} claims for {bought.seconds / 3600:.2f} hours, {runs} runs to be made "
            f"({exact}): {', '.join(bought.claims)}.",
            _table(rows, ["run", "what", "seeds"]) if rows else "Nothing is to be made: all is there.",
        ]
        if bought.left_out:
            parts.append(f"Not bought: {', '.join(bought.left_out)}.")
    if free:
        parts.append(f"No run is needed for: {', '.join(free)}.")
    return "\n\n".join(parts) + "\n"


def describe_reality(held: Held) -> str:
    """The forecast against what was run."""
    told = shown(held)
    parts = ["## Forecast and reality", told["of"]]
    if told["rows"]:
        parts.append(_table(told["rows"], told["headings"]))
    parts.append(told["total"])
    if told["left_out"]:
        parts.append("\n".join(f"- {line}" for line in told["left_out"]))
    return "\n\n".join(parts) + "\n"


def as_json(forecast: Forecast, units: int, needs: Iterable[Need]) -> dict[str, Any]:
    """What is written: enough to be compared with what runs take later, and the code that made it."""
    speed = forecast.speed
    schedule = makespan(forecast, forecast.plan.runs, units)
    return {
        "scale": forecast.plan.scale.name,
        "experiments": [experiment.name for experiment in forecast.plan.experiments],
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": speed.device,
        "basis": speed.basis,
        "precision": speed.precision,
        "source": speed.source,
        "start_seconds": forecast.start_seconds,
        "gpus" if speed.on_gpu else "cores": units,
        "gpus_per_run": dict(forecast.gpus_per_run),
        "makespan_seconds": schedule.makespan,
        "makespan_bound_seconds": schedule.bound,
        "peak_disk_bytes": peak_disk(forecast, forecast.plan.runs, schedule),
        "runs": [_run(row) for row in forecast.of(forecast.plan.runs)],
        "claims": [{"claim": need.claim, "seeds": need.seeds, "why": need.why} for need in needs],
        **provenance(),
    }


def _run(row: RunForecast) -> dict[str, Any]:
    names = ("threads", "steps", "flops", "seconds", "wall_seconds", "fold_seconds", "memory_bytes", "disk_bytes",
             "checkpoint_bytes", "how", "measured")  # fmt: skip
    return {"run": str(row.run)} | {name: getattr(row, name) for name in names}


def _total(name: str, runs: list[Run], forecast: Forecast, units: int) -> list[Any]:
    rows = forecast.of(runs)
    hours = sum(row.wall_seconds + row.fold_seconds for row in rows) / 3600
    watts = forecast.speed.watts or 0.0
    return [
        name, len(rows), f"{sum(row.steps for row in rows):,}", _petaflop(sum(row.flops for row in rows)),
        f"{hours:.2f}", f"{makespan(forecast, runs, units).makespan / 3600:.2f}",
        f"{sum(row.disk_bytes for row in rows) / 1e9:.2f}", f"{hours * watts / 1000:.1f}",
    ]  # fmt: skip


def _networks(forecast: Forecast) -> list[list[Any]]:
    seeds: dict[Any, list[RunForecast]] = {}
    for row in forecast.of(forecast.plan.runs):
        seeds.setdefault(row.run.setting, []).append(row)
    return [
        [str(setting), len(rows), f"{rows[0].steps:,}", _petaflop(rows[0].flops), f"{rows[0].wall_seconds / 3600:.3f}",
         f"{rows[0].memory_bytes / 1e9:.2f}", rows[0].how]
        for setting, rows in seeds.items()
    ]  # fmt: skip


def _petaflop(flops: float) -> str:
    petaflop = flops / 1e15
    return f"{petaflop:,.0f}" if petaflop >= 100 else f"{petaflop:.3g}"


def _table(rows: Sequence[Sequence[Any]], headers: Sequence[str]) -> str:
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
