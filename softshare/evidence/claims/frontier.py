"""Claims on a whole family: at its own size, does every shared network err less than plain ones would?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from softshare.evidence.claims.claim_runs import ClaimRuns
from softshare.evidence.claims.comparisons import each_less
from softshare.evidence.claims.finding import Finding, UnansweredError
from softshare.evidence.claims.reading import Claim
from softshare.evidence.runs.gather import CellEvidence
from softshare.evidence.statistics import TTest, compare
from softshare.evidence.verdict import FEWEST_SEEDS, Verdict

_SAME_SIZE = 0.01  # what coefficients add to a network's size is far less


@dataclass(frozen=True)
class _Plain:
    """What a plain network of some size errs, by seed; on the line between two where none has that size."""

    name: str
    errors_by_seed: dict[int, float]
    of: tuple[CellEvidence, ...]


def judge_frontier(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether every shared network lies below the line through the plain ones, error over the logarithm of parameters.

    The line is drawn seed by seed between the two plain networks next in size; one of the same size to within 1 % is
    taken by itself.
    """
    every = [*claim.settings_under("shared"), *claim.settings_under("plain")]
    for setting in every:  # "not run" tells more than "inconclusive"
        if not runs.cells[setting].complete:
            runs.of(setting)
    plain = sorted((runs.of(setting) for setting in claim.settings_under("plain")), key=_size)
    tests: dict[str, tuple[str, TTest]] = {}
    for setting in claim.settings_under("shared"):
        ours = runs.of(setting)
        line = _plain_of_size(ours, plain)
        for beside in line.of:
            runs.pair_of(setting, beside.cell.paper)
        test = compare(ours.errors_by_seed, line.errors_by_seed, FEWEST_SEEDS)
        tests[str(setting)] = f"{_name(ours)} beside {line.name}", test
    count = f"{len(tests)} shared networks"
    said = {
        Verdict.REPRODUCED: f"each of {count} errs less than plain ones of its size, least surely",
        Verdict.NOT_REPRODUCED: f"of {count} some err more than plain ones of their size, most surely",
        Verdict.INCONCLUSIVE: f"whether each of {count} errs less than plain ones of its size cannot be told, least of",
    }
    return each_less(
        tests,
        runs.alpha,
        said,
        test=f"one-sided t-tests of each of {len(tests)} against the line of plain networks (intersection-union)",
    )


def _plain_of_size(ours: CellEvidence, plain: Sequence[CellEvidence]) -> _Plain:
    """What plain networks as large as one of ours err.

    Args:
        ours: The shared network's runs.
        plain: The plain ones', by size.

    Raises:
        UnansweredError: It is smaller or larger than all of them, or those on either side share too few seeds.
    """
    size = _size(ours)
    for each in plain:
        if abs(_size(each) / size - 1.0) <= _SAME_SIZE:
            return _Plain(_name(each), each.errors_by_seed, (each,))
    below = [each for each in plain if _size(each) < size]
    above = [each for each in plain if _size(each) > size]
    if not below or not above:
        names = ", ".join(map(_name, plain))
        what = f"{_name(ours)} has {size:,} parameters, out of reach of the line through {names}"
        raise UnansweredError(Verdict.NOT_COMPARABLE, what)
    lower, upper = below[-1], above[0]
    share = math.log(size / _size(lower)) / math.log(_size(upper) / _size(lower))
    ones, others = lower.errors_by_seed, upper.errors_by_seed
    between = {seed: (1.0 - share) * ones[seed] + share * others[seed] for seed in ones if seed in others}
    if len(between) < FEWEST_SEEDS:
        what = f"{_name(lower)} and {_name(upper)} share {len(between)} seeds; a line needs {FEWEST_SEEDS}"
        raise UnansweredError(Verdict.INCONCLUSIVE, what)
    return _Plain(f"the line from {_name(lower)} to {_name(upper)}", between, (lower, upper))


def _size(found: CellEvidence) -> int:
    (parameters,) = found.values("parameters")  # runs that differ in it are mixed, which ClaimRuns.of refuses
    return parameters


def _name(found: CellEvidence) -> str:
    assert found.cell.run is not None
    return found.cell.run.model
