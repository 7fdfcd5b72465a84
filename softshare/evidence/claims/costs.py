"""Claims on what sharing costs: a training step, measured by the bench, and hours of training."""

from __future__ import annotations

import math

import pandas as pd

from softshare.errors import UserError
from softshare.evidence.claims.finding import Finding, UnansweredError, number, within
from softshare.evidence.claims.ground import Ground
from softshare.evidence.claims.reading import Claim
from softshare.evidence.verdict import Verdict
from softshare.files import read_json


def judge_cost(claim: Claim, ground: Ground) -> Finding:
    """Whether a shared network's training step takes hardly longer than the plain one's."""
    bound = claim.test["at_most"]
    measured = _bench(ground)
    missing = [row for row in claim.test["rows"] if row not in measured]
    if missing:
        raise UnansweredError(Verdict.NOT_RUN, f"bench.csv has no row {', '.join(missing)}: softshare bench --all")
    ratios = {row: measured[row] for row in claim.test["rows"]}
    told = ", ".join(f"{number(ratio, 3)} for {row}" for row, ratio in ratios.items())
    return Finding(
        verdict=within(max(ratios.values()) - 1.0, bound - 1.0),  # what is extra
        sentence=f"a training step takes that of the plain network times {told}; at most {bound:g} is negligible",
        test="median of ratios timed alternately",
        estimate=max(ratios.values()),
        unit="ratio",
        bound=bound,
        details={"ratios": ratios},
        at=f"the bench, {_bench_device(ground)}",
    )


def judge_training_time(claim: Claim, ground: Ground) -> Finding:
    """Whether training takes no more hours than the paper tells, on the device that it tells of."""
    setting, hours, wanted = claim.setting("setting"), claim.test["hours"], claim.test["device"]
    found = ground.runs(setting, enough=False)
    taken = [record.manifest["device_seconds"] / 3600 for record in found.complete]
    devices = sorted({str(record.manifest.get("device")) for record in found.complete})
    sentence = f"{found.cell.run} took {number(max(taken), 2)} hours at most on {', '.join(devices)}"
    on_it = all(wanted.casefold() in device.casefold() for device in devices)
    comparable = found.cell.run == setting and not ground.scale.training and on_it
    if comparable:
        ground.require_enough(found, len(taken), "are complete")
    else:
        sentence += f", which is no answer to {hours:g} hours of the paper's training on a {wanted}"
    return Finding(
        verdict=within(max(taken), hours) if comparable else Verdict.NOT_COMPARABLE,
        sentence=sentence,
        test="the longest run",
        n=len(taken),
        estimate=max(taken),
        unit="hours",
        bound=hours,
        details={"hours": taken, "devices": devices},
    )


def _bench(ground: Ground) -> dict[str, float]:
    file = ground.bench / "bench.csv"
    try:
        table = pd.read_csv(file)
        values = {str(name): float(value) for name, value in zip(table["name"], table["value"], strict=True)}
    except FileNotFoundError:
        raise UnansweredError(Verdict.NOT_RUN, "no bench was run: softshare bench --all") from None
    except (OSError, ValueError, KeyError) as error:
        raise UnansweredError(Verdict.NOT_RUN, f"bench.csv cannot be used ({error!r})") from None
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _bench_device(ground: Ground) -> str:
    try:
        machine = read_json(ground.bench / "manifest.json")
        return f"{machine['device']}, {machine['threads']} threads, {machine['precision']}"
    except (UserError, KeyError, TypeError):
        return "machine not recorded"
