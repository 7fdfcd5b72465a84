"""Claims on what sharing costs: a training step, measured by the bench, and hours of training."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from softshare.errors import UserError
from softshare.evidence.claims.claim_runs import ClaimRuns
from softshare.evidence.claims.finding import Finding, UnansweredError, span, within
from softshare.evidence.claims.reading import Claim
from softshare.evidence.verdict import Verdict
from softshare.evidence.wording import number
from softshare.files import read_json

# A row that cannot be told leaves open whether it is worse than one that is close; not one that is beyond.
_WORSE = (Verdict.REPRODUCED, Verdict.CLOSE, Verdict.INCONCLUSIVE, Verdict.NOT_REPRODUCED)

_SIMULATED = 50_000
_MOST_ROUNDS = 100  # of more the interval is taken for wider than it is


def judge_cost(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether a shared network's training step takes hardly longer than the plain one's, beyond the noise of timing.

    The row of the worst verdict decides: "reproduced" where its 95 % interval ends below the bound; where it begins
    above, "close" up to twice what is extra, else "not reproduced"; "inconclusive" where the bound lies within.
    """
    bound = claim.test["at_most"]
    measured = _bench(runs)
    missing = [row for row in claim.test["rows"] if row not in measured]
    if missing:
        raise UnansweredError(Verdict.NOT_RUN, f"bench.csv has no row {', '.join(missing)}: softshare bench --all")
    rows = {row: measured[row] for row in claim.test["rows"]}
    told = ", ".join(f"{number(each.median, 3)} ({span(each.interval, 3)}) for {row}" for row, each in rows.items())
    slowest = max(rows.values(), key=lambda each: (_WORSE.index(each.verdict(bound)), each.highest))
    return Finding(
        verdict=slowest.verdict(bound),
        sentence=f"a training step takes that of the plain network times {told}; at most {bound:g} is negligible",
        test="median of ratios timed alternately, against the bound by its interval",
        n=slowest.rounds,
        estimate=slowest.median,
        unit="ratio",
        interval=slowest.interval,
        bound=bound,
        details={"ratios": {row: each.median for row, each in rows.items()}},
        at=f"the bench, {_bench_device(runs)}",
    )


def judge_training_time(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether training takes no more hours than told, on the paper's device; where it is `strict`, none is close."""
    setting, hours, wanted = claim.setting("setting"), claim.test["hours"], claim.test["device"]
    found = runs.of(setting, enough=False)
    taken = [record.manifest["device_seconds"] / 3600 for record in found.complete]
    devices = sorted({str(record.device) for record in found.complete})
    sentence = f"{found.cell.run} took {number(max(taken), 2)} hours at most on {', '.join(devices)}"
    on_it = all(
        record.devices and all(wanted.casefold() in device.casefold() for device in record.devices)
        for record in found.complete
    )
    comparable = found.cell.run == setting and not runs.scale.training and on_it
    if comparable:
        runs.require_enough(found, len(taken), "are complete")
    else:
        sentence += f", which is no answer to {hours:g} hours on a {wanted}, of the paper's training"
    verdict = within(max(taken), hours) if comparable else Verdict.NOT_COMPARABLE
    if verdict is Verdict.CLOSE and claim.test.get("strict", False):
        verdict = Verdict.NOT_REPRODUCED
    return Finding(
        verdict=verdict,
        sentence=sentence,
        test="the longest run",
        n=len(taken),
        estimate=max(taken),
        unit="hours",
        bound=hours,
        details={"hours": taken, "devices": devices},
    )


@dataclass(frozen=True)
class _Row:
    """A row of `bench.csv`: the median of its rounds, and their quartiles."""

    median: float
    low: float
    high: float
    rounds: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the median from the quartiles, as of normal noise; None of fewer than three rounds."""
        if self.rounds < 3 or not math.isfinite(self.high - self.low):
            return None
        half = _in_quartile_ranges(min(self.rounds, _MOST_ROUNDS)) * (self.high - self.low)
        return self.median - half, self.median + half

    def verdict(self, bound: float) -> Verdict:
        """What it alone says of a bound."""
        if self.interval is None or self.interval[0] <= bound < self.interval[1]:
            return Verdict.INCONCLUSIVE
        return within(self.median - 1.0, bound - 1.0)  # what is extra

    @property
    def highest(self) -> float:
        """What it may be at most."""
        return self.interval[1] if self.interval else math.inf


@functools.cache
def _in_quartile_ranges(rounds: int) -> float:
    """How far 95 of 100 medians of normal draws lie from the middle, in distances of their own quartiles: simulated."""
    draws = np.random.default_rng(0).normal(size=(_SIMULATED, rounds))
    low, median, high = np.quantile(draws, [0.25, 0.5, 0.75], axis=1)
    return float(np.quantile(np.abs(median) / (high - low), 0.95))


def _bench(runs: ClaimRuns) -> dict[str, _Row]:
    file = runs.bench / "bench.csv"
    try:
        table = pd.read_csv(file)
        spread = table.reindex(columns=["low", "high", "rounds"]).fillna({"rounds": 1})  # an earlier bench kept none
        rows = {
            str(name): _Row(float(value), float(low), float(high), int(rounds))
            for name, value, (low, high, rounds) in zip(table["name"], table["value"], spread.to_numpy(), strict=True)
        }
    except FileNotFoundError:
        raise UnansweredError(Verdict.NOT_RUN, "no bench lies beside these runs: softshare bench --all") from None
    except (OSError, ValueError, KeyError) as error:
        raise UnansweredError(Verdict.NOT_RUN, f"bench.csv cannot be used ({error!r})") from None
    return {name: row for name, row in rows.items() if math.isfinite(row.median)}


def _bench_device(runs: ClaimRuns) -> str:
    try:
        machine = read_json(runs.bench / "manifest.json")
        return f"{machine['device']}, {machine['threads']} threads, {machine['precision']}"
    except (UserError, KeyError, TypeError):
        return "machine not recorded"
