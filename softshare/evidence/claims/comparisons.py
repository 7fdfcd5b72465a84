"""Claims that hold the test errors of two settings against each other: less, no more, alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from softshare.evidence.claims.claim_runs import ClaimRuns
from softshare.evidence.claims.finding import Finding, chance_of, decided, span
from softshare.evidence.claims.reading import Claim
from softshare.evidence.gather import CellEvidence
from softshare.evidence.shown import number
from softshare.evidence.statistics import TTest, compare
from softshare.evidence.verdict import FEWEST_SEEDS, Verdict

UNIT = "percentage points"


def judge_direction(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether one setting errs less than another, at its first guess or, with `of: top5_error`, at its first five."""
    lower, higher = runs.pair(claim, "lower", "higher")
    measure = claim.test.get("of", "error")
    found = compare(lower.test_by_seed(measure), higher.test_by_seed(measure), FEWEST_SEEDS)
    one, other = names_of(lower, higher)
    there = " in its first five guesses" if measure == "top5_error" else ""
    said = {
        Verdict.REPRODUCED: f"{one} errs less than {other}{there}",
        Verdict.NOT_REPRODUCED: f"{one} errs more than {other}{there}, not less",
        Verdict.INCONCLUSIVE: f"whether {one} errs less than {other}{there} cannot be told",
    }
    return tested(
        found,
        (found.p_less(), found.p_more()),
        runs.alpha,
        lambda verdict, p: f"{said[verdict]}: {difference(found)}, one-sided {p}",
        test=f"one-sided t-test, {found.how}",
        unit=UNIT,
        bound=0.0,
    )


def judge_lowest(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether one setting errs less than each of several others.

    Its p is the largest of theirs (intersection-union test); that of the contrary, that it errs more than any, is the
    least, times their number.
    """
    one, others = claim.setting("setting"), claim.settings_under("others")
    pairs = [runs.pair_of(one, other) for other in others]
    found = [compare(lower.errors_by_seed, higher.errors_by_seed, FEWEST_SEEDS) for lower, higher in pairs]
    best = min(range(len(pairs)), key=lambda at: -found[at].difference)  # the one that it is least below
    names = names_of(*pairs[best])
    said = {
        Verdict.REPRODUCED: f"{names[0]} errs less than each of the {len(pairs)} others, least so than {names[1]}",
        Verdict.NOT_REPRODUCED: f"{names[0]} errs more than some of the {len(pairs)} others, most so than {names[1]}",
        Verdict.INCONCLUSIVE: f"whether {names[0]} errs less than each of {len(pairs)} others cannot be told; "
        f"nearest is {names[1]}",
    }
    finding = tested(
        found[best],
        least_of_all(found),
        runs.alpha,
        lambda verdict, p: f"{said[verdict]}: {difference(found[best])}, {p}",
        test=f"one-sided t-tests against each of {len(pairs)} (intersection-union)",
        unit=UNIT,
        bound=0.0,
        details={"differences": {str(other): each.difference for other, each in zip(others, found, strict=True)}},
    )
    return replace(finding, n=min(min(each.n) for each in found))


def least_of_all(tests: Sequence[TTest]) -> tuple[float | None, float | None]:
    """Both p of "each is less": the largest of all, and of "some is more" the least, times their number."""
    less = _of_all([each.p_less() for each in tests], max)
    more = _of_all([each.p_more() for each in tests], lambda ps: min(1.0, len(ps) * min(ps)))
    return less, more


def _of_all(ps: Sequence[float | None], of: Callable[[list[float]], float]) -> float | None:
    """One p of several tests; None where one of them has none."""
    known = [p for p in ps if p is not None]
    return of(known) if len(known) == len(ps) else None


def judge_no_worse(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether one setting errs no more than another by the margin: the upper of the two one-sided tests.

    That it may err less by more than the margin is no objection, so the lower test plays no part.
    """
    ours, than = runs.pair(claim, "ours", "than")
    margin = _margin(claim, runs)
    found = compare(ours.errors_by_seed, than.errors_by_seed, FEWEST_SEEDS)
    one, other = names_of(ours, than)
    said = {
        Verdict.REPRODUCED: f"the error of {one} is less than {margin:g} points above that of {other}",
        Verdict.NOT_REPRODUCED: f"the error of {one} is more than {margin:g} points above that of {other}",
        Verdict.INCONCLUSIVE: f"whether the error of {one} is {margin:g} points above that of {other} cannot be told",
    }
    return tested(
        found,
        (found.p_less(margin), found.p_more(margin)),
        runs.alpha,
        lambda verdict, p: f"{said[verdict]}: {difference(found)}, {p}",
        test=f"the upper of two one-sided t-tests with a margin of {margin:g}, {found.how}",
        unit=UNIT,
        bound=margin,
    )


def judge_alike(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether two settings err alike to within the margin: both one-sided tests (TOST)."""
    one, other = runs.pair(claim, "one", "other")
    margin = _margin(claim, runs)
    found = compare(one.errors_by_seed, other.errors_by_seed, FEWEST_SEEDS)
    first, second = names_of(one, other)
    said = {
        Verdict.REPRODUCED: f"{first} and {second} err alike to within {margin:g} points",
        Verdict.NOT_REPRODUCED: f"{first} and {second} differ by {margin:g} points or more",
        Verdict.INCONCLUSIVE: f"whether {first} and {second} are within {margin:g} points cannot be told",
    }
    return tested(
        found,
        (found.p_alike(margin), found.p_apart(margin)),
        runs.alpha,
        lambda verdict, p: f"{said[verdict]}: {difference(found)}, {p}",
        test=f"two one-sided t-tests (TOST) with a margin of {margin:g}, {found.how}",
        unit=UNIT,
        bound=margin,
    )


def tested(
    found: TTest,
    ps: tuple[float | None, float | None],
    alpha: float,
    sentence: Callable[[Verdict, str], str],
    *,
    test: str,
    unit: str,
    bound: float,
    details: dict[str, Any] | None = None,
) -> Finding:
    """What a t-test of two settings found of a claim.

    Args:
        found: The test.
        ps: Small where the claim holds; small where its contrary does.
        alpha: The level of both.
        sentence: What is said, given the verdict and the p that it rests on.
        test: The test in words.
        unit: Of the difference.
        bound: What the difference is held against.
        details: What else was found.

    Raises:
        UnansweredError: The runs show no spread.
    """
    verdict, p, contrary = decided(*ps, alpha)
    return Finding(
        verdict=verdict,
        sentence=sentence(verdict, chance_of(verdict, p, contrary)),
        test=test,
        n=min(found.n),
        estimate=found.difference,
        unit=unit,
        interval=found.interval,
        bound=bound,
        p=p,
        p_contrary=contrary,
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


def difference(found: TTest) -> str:
    """A difference of errors for a reader."""
    return f"difference {number(found.difference)} points ({span(found.interval)}; {found.how})"


def _margin(claim: Claim, runs: ClaimRuns) -> float:
    table = runs.claims.tables[claim.test["margin_of"]]
    margin = table.datasets[claim.settings[0].dataset].no_worse_margin
    assert margin is not None  # read_claims checks it
    return margin
