"""The same runs made twice, on two machines or in two precisions: do they come to the same, and do their curves?

A pair is judged by one rule, fixed before any pair on images was made: two runs of a network that differ in nothing but
the seed lie apart by at most t x sd x sqrt(2) in 95 of 100, where sd is that of the network's complete seeds in the
second folder (three or more, of one kind) and t Student's 0.975 quantile with one degree fewer than seeds. A pair is
within that or beyond it. The rule takes a pair's difference for as noisy as that of two seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from softshare.errors import UserError
from softshare.evidence.runs.checks import UnusableError
from softshare.evidence.runs.gather import gather, mixed_among
from softshare.evidence.runs.history import column, read_history
from softshare.evidence.runs.runfolder import Code, Record, State
from softshare.evidence.statistics import has_spread, two_sided_quantile
from softshare.evidence.verdict import FEWEST_SEEDS
from softshare.names import SHORTEST_PATHS
from softshare.plan import Plan
from softshare.runfiles import HISTORY
from softshare.scales import Run, Setting

SIDES = ("first", "second")
PRECISION = "precision"  # what a pair may differ in without a word
UNTOLD = "not recorded"
_CHANGED = "with changes"


@dataclass(frozen=True, eq=False)
class Twice:
    """A run that both folders hold.

    Attributes:
        records: What either folder holds of it.
        values: What either came to: test error in percent, or mean F1 at the ends of all phases.
        curves: The same of either by epoch.
    """

    records: tuple[Record, Record]
    values: tuple[float, float]
    curves: tuple[np.ndarray, np.ndarray]

    @property
    def run(self) -> Run:
        """Which."""
        return self.records[0].run

    @property
    def difference(self) -> float:
        """The second's value less the first's."""
        return self.values[1] - self.values[0]

    @property
    def apart(self) -> dict[str, tuple[str, str]]:
        """What the two differ in besides precision, or may differ in where it is not known; each side's answer."""
        one, other = map(how_made, self.records)
        unsure = [name for name in one if UNTOLD in one[name] or _CHANGED in one[name]]
        return {
            name: (one[name], other[name])
            for name in one
            if name != PRECISION and (one[name] != other[name] or name in unsure)
        }


@dataclass(frozen=True)
class Spread:
    """How far apart two runs of a network may lie that differ in nothing but the seed.

    Attributes:
        seeds: Complete ones in the second folder.
        most: What 95 of 100 lie within; None where no spread is known.
        unknown: Why none is; empty where one is.
    """

    seeds: int
    most: float | None
    unknown: str = ""

    def holds(self, difference: float) -> bool | None:
        """Whether a pair's difference is within it; None where no spread is known."""
        return None if self.most is None else abs(difference) <= self.most


@dataclass(frozen=True, eq=False)
class Comparison:
    """The runs of two folders, side by side.

    Attributes:
        folders: Where they lie.
        runs: Those that both hold complete, of one training on the same data.
        spreads: Of each network, what its seeds tell.
        left_out: What is not compared, in words.
    """

    folders: tuple[Path, Path]
    runs: tuple[Twice, ...]
    spreads: dict[Setting, Spread]
    left_out: tuple[str, ...]

    @property
    def by_network(self) -> dict[Setting, list[Twice]]:
        """The pairs of each network, by seed."""
        found: dict[Setting, list[Twice]] = {}
        for each in self.runs:
            found.setdefault(each.run.setting, []).append(each)
        return found


def compare(plan: Plan, first: Path, second: Path) -> Comparison:
    """Finds the runs that are complete in two folders of results.

    Args:
        plan: What was to be run.
        first: Results of its scale, such as `results/compact` or `reports/published/compact`.
        second: Others; their seeds tell how far apart two runs may lie.

    Raises:
        UserError: They hold no run in common, or one that was trained otherwise or on other data.
    """
    found = [gather(plan, each) for each in (first, second)]
    sides = [{record.run: record for record in each.in_state(State.COMPLETE)} for each in found]
    for each, side in zip((first, second), sides, strict=True):
        if not side:
            raise UserError("holds no complete run of the scale", file=each, remedy="name results of the scale")
    common = [run for run in sides[0] if run in sides[1]]
    if not common:
        raise UserError(f"holds no complete run that {first} holds too", file=second, remedy="name the same scale's")
    for run in common:
        one, other = (side[run] for side in sides)
        if one.settings != other.settings or one.manifest["dataset"] != other.manifest["dataset"]:
            raise UserError("is of another training, or of other data", file=second / other.folder)
    runs = [_twice(first, sides[0][run], second, sides[1][run]) for run in common]
    # What the second holds besides is no part of this: the page would change whenever it is added to.
    alone: dict[Setting, list[str]] = {}
    for run in sides[0]:
        if run not in sides[1]:
            alone.setdefault(run.setting, []).append(str(run.seed))
    unusable = [
        f"{record.run} of the {name} cannot be used: {record.reason}"
        for name, each in zip(SIDES, found, strict=True)
        for record in each.in_state(State.UNUSABLE)
        if name == SIDES[0] or record.run in sides[0]
    ]
    spreads = {
        setting: _spread([record for run, record in sides[1].items() if run.setting == setting])
        for setting in dict.fromkeys(run.setting for run in common)
    }
    told = [f"{setting}, complete in the first alone: seed {', '.join(seeds)}" for setting, seeds in alone.items()]
    return Comparison((first, second), tuple(runs), spreads, (*told, *unusable))


def how_made(record: Record) -> dict[str, str]:
    """How a run was made, in words, by what two runs of one training may differ in."""
    told, stretches = record.manifest, record.manifest.get("stretches") or [{}]
    torch = [stretch.get("torch", told["versions"].get("torch")) for stretch in stretches]
    facts = {
        "device": record.device,
        PRECISION: told.get("precision"),
        "threads": told.get("threads"),
        "torch": ", then ".join(dict.fromkeys(str(each or UNTOLD) for each in torch)),
        "commit": ", then ".join(map(_short, record.codes)),
        "processes": told.get("processes", 1),
        "batch norm": told.get("batch_norm", "own"),
        "compiled": "yes" if told.get("compile", False) else "no",
    }
    return {name: UNTOLD if value is None else str(value) for name, value in facts.items()}


def _short(code: Code) -> str:
    return UNTOLD if code.commit is None else f"{code.commit[:12]}{f' {_CHANGED}' if code.dirty else ''}"


def _twice(first: Path, one: Record, second: Path, other: Record) -> Twice:
    return Twice((one, other), (_value(one), _value(other)), (_curve(first, one), _curve(second, other)))


def _spread(seeds: Sequence[Record]) -> Spread:
    values = [_value(record) for record in seeds]
    if len(values) < FEWEST_SEEDS:
        return Spread(len(values), None, f"fewer than {FEWEST_SEEDS} complete seeds in the second")
    if mixed := mixed_among(seeds):
        return Spread(len(values), None, f"the second's seeds are not of one kind ({'; '.join(mixed)})")
    if not has_spread(values):
        return Spread(len(values), None, "the second's seeds are all alike")
    most = two_sided_quantile(len(values) - 1) * float(np.std(values, ddof=1)) * math.sqrt(2)
    return Spread(len(values), most)


def _value(record: Record) -> float:
    return float(np.mean(record.metrics["test"]["f1"])) if _on_paths(record) else record.error


def _curve(results: Path, record: Record) -> np.ndarray:
    file = results / record.folder / HISTORY
    try:
        return np.array(column(read_history(file), "test_f1" if _on_paths(record) else "test_error"))
    except UnusableError as error:  # since the run was found complete
        raise UserError(str(error), file=file) from error


def _on_paths(record: Record) -> bool:
    return record.run.setting.dataset == SHORTEST_PATHS
