"""Claims that hold the test errors of two settings against each other: rules 2 and 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from softshare.evidence.claims.finding import Finding, chance, decided, number, span
from softshare.evidence.claims.ground import Ground
from softshare.evidence.claims.reading import Claim
from softshare.evidence.gather import CellEvidence
from softshare.evidence.statistics import TTest, compare
from softshare.evidence.verdict import FEWEST_SEEDS, Verdict

UNIT = "percentage points"


def judge_direction(claim: Claim, ground: Ground) -> Finding:
    """Whether one setting errs less than another."""
    lower, higher = ground.pair(claim, "lower", "higher")
    found = compare(lower.errors_by_seed, higher.errors_by_seed, FEWEST_SEEDS)
    one, other = names_of(lower, higher)
    said = {
        Verdict.REPRODUCED: f"{one} errs less than {other}",
        Verdict.NOT_REPRODUCED: f"{one} errs more than {other}, not less",
        Verdict.INCONCLUSIVE: f"whether {one} errs less than {other} cannot be told",
    }
    p, contrary, words = found.p_less(), found.p_more(), f"{{}}: {_difference(found)}, one-sided {{}}"
    test = f"one-sided t-test, {found.how}"
    return tested(found, p, contrary, ground, said, words, test=test, unit=UNIT, bound=0.0)


def judge_no_worse(claim: Claim, ground: Ground) -> Finding:
    """Whether one setting errs no more than another by the margin: the upper of the two one-sided tests.

    That it may err less by more than the margin is no objection, so the lower test plays no part.
    """
    ours, than = ground.pair(claim, "ours", "than")
    margin = _margin(claim, ground)
    found = compare(ours.errors_by_seed, than.errors_by_seed, FEWEST_SEEDS)
    one, other = names_of(ours, than)
    said = {
        Verdict.REPRODUCED: f"the error of {one} is less than {margin:g} points above that of {other}",
        Verdict.NOT_REPRODUCED: f"the error of {one} is more than {margin:g} points above that of {other}",
        Verdict.INCONCLUSIVE: f"whether the error of {one} is {margin:g} points above that of {other} cannot be told",
    }
    p, contrary, words = found.p_less(margin), found.p_more(margin), f"{{}}: {_difference(found)}, {{}}"
    test = f"the upper of two one-sided t-tests with a margin of {margin:g}, {found.how}"
    return tested(found, p, contrary, ground, said, words, test=test, unit=UNIT, bound=margin)


def judge_alike(claim: Claim, ground: Ground) -> Finding:
    """Whether two settings err alike to within the margin: both one-sided tests (TOST)."""
    one, other = ground.pair(claim, "one", "other")
    margin = _margin(claim, ground)
    found = compare(one.errors_by_seed, other.errors_by_seed, FEWEST_SEEDS)
    first, second = names_of(one, other)
    said = {
        Verdict.REPRODUCED: f"{first} and {second} err alike to within {margin:g} points",
        Verdict.NOT_REPRODUCED: f"{first} and {second} differ by {margin:g} points or more",
        Verdict.INCONCLUSIVE: f"whether {first} and {second} are within {margin:g} points cannot be told",
    }
    p, contrary, words = found.p_alike(margin), found.p_apart(margin), f"{{}}: {_difference(found)}, {{}}"
    test = f"two one-sided t-tests (TOST) with a margin of {margin:g}, {found.how}"
    return tested(found, p, contrary, ground, said, words, test=test, unit=UNIT, bound=margin)


def tested(
    found: TTest,
    p: float | None,
    p_contrary: float | None,
    ground: Ground,
    said: Mapping[Verdict, str],
    words: str,
    *,
    test: str,
    unit: str,
    bound: float,
    details: dict[str, Any] | None = None,
) -> Finding:
    """What a t-test of two settings found of a claim.

    Args:
        found: The test.
        p: Small where the claim holds.
        p_contrary: Small where its contrary does.
        ground: The runs, and the level of the test.
        said: What is said of the claim, by its verdict.
        words: The sentence, with places for what is said and for p.
        test: The test in words.
        unit: Of the difference.
        bound: What the difference is held against.
        details: What else was found.

    Raises:
        UnansweredError: The runs show no spread.
    """
    verdict = decided(p, p_contrary, ground.alpha)
    return Finding(
        verdict=verdict,
        sentence=words.format(said[verdict], chance(p or 0)),
        test=test,
        n=min(found.n),
        estimate=found.difference,
        unit=unit,
        interval=found.interval,
        bound=bound,
        p=p,
        details=details or {},
    )


def names_of(one: CellEvidence, other: CellEvidence) -> tuple[str, str]:
    """What was run, named by what tells the two apart."""
    first, second = one.cell.run, other.cell.run
    assert first is not None and second is not None
    if first.dataset == second.dataset and first.recipe == second.recipe:
        return first.model, second.model
    if first.dataset == second.dataset and first.model == second.model:
        return f"{first.model} with recipe {first.recipe}", f"{second.model} with recipe {second.recipe}"
    return str(first), str(second)


def _difference(found: TTest) -> str:
    return f"difference {number(found.difference)} points ({span(found.interval)}; {found.how})"


def _margin(claim: Claim, ground: Ground) -> float:
    table = ground.claims.tables[claim.test["margin_of"]]
    margin = table.datasets[claim.settings[0].dataset].no_worse_margin
    assert margin is not None  # read_claims checks it
    return margin
