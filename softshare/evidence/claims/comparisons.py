"""Claims that hold the test errors of two settings against each other: less, no more, alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from softshare.evidence.claims.claim_runs import ClaimRuns
from softshare.evidence.claims.finding import Finding, chance_of, decided, span
from softshare.evidence.claims.measures import MEASURES, Measure
from softshare.evidence.claims.reading import Claim
from softshare.evidence.runs.gather import CellEvidence
from softshare.evidence.statistics import TTest, compare
from softshare.evidence.verdict import FEWEST_SEEDS, Verdict
from softshare.evidence.wording import number

UNIT = "percentage points"


def judge_direction(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether one setting errs less than another, or has less of what `of` names."""
    lower, higher = runs.pair(claim, "lower", "higher")
    of = claim.test.get("of", "error")
    measure = MEASURES[of]
    found = compare(lower.by_seed(of), higher.by_seed(of), FEWEST_SEEDS)
    one, other = names_of(lower, higher)
    said = {
        Verdict.REPRODUCED: f"{one} {measure.less} {other}",
        Verdict.NOT_REPRODUCED: f"{one} {measure.more} {other}, not less",
        Verdict.INCONCLUSIVE: f"whether {one} {measure.less} {other} cannot be told",
    }
    return tested(
        found,
        (found.p_less(), found.p_more()),
        runs.alpha,
        lambda verdict, p: f"{said[verdict]}: {difference(found, measure)}, one-sided {p}",
        test=f"one-sided t-test, {found.how}",
        unit=measure.unit,
        bound=0.0,
    )


def judge_lowest(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether one setting errs less than each of several others.

    The one that is decided by stands in the sentence: of which it is least sure, or of the contrary surest.
    """
    one, others = claim.setting("setting"), claim.settings_under("others")
    pairs = [runs.pair_of(one, other) for other in others]
    found = [compare(lower.errors_by_seed, higher.errors_by_seed, FEWEST_SEEDS) for lower, higher in pairs]
    names = [names_of(*pair) for pair in pairs]
    ours, count = names[0][0], f"{len(pairs)} others"
    said = {
        Verdict.REPRODUCED: f"{ours} errs less than each of {count}, least surely than",
        Verdict.NOT_REPRODUCED: f"{ours} errs more than some of {count}, most surely than",
        Verdict.INCONCLUSIVE: f"whether {ours} errs less than each of {count} cannot be told, least of",
    }
    return each_less(
        {str(other): (names[at][1], found[at]) for at, other in enumerate(others)},
        runs.alpha,
        said,
        test=f"one-sided t-tests against each of {len(pairs)} (intersection-union)",
    )


def each_less(tests: dict[str, tuple[str, TTest]], alpha: float, said: dict[Verdict, str], *, test: str) -> Finding:
    """What several t-tests found of "each is less": its p is the largest of all (intersection-union test).

    That of the contrary, that some is more, is the least, times their number.

    Args:
        tests: By what they are told under: what a reader is told to be tested, and the test.
        alpha: The level.
        said: What is said by verdict; what is tested follows, then the one that decided.
        test: The tests in words.

    Raises:
        UnansweredError: Some runs show no spread.
    """
    less, more = ({key: p(each) for key, (_, each) in tests.items()} for p in (TTest.p_less, TTest.p_more))
    verdict, p, contrary = decided(_of_all(less, max), _of_all(more, lambda ps: min(1.0, len(ps) * min(ps))), alpha)
    known = {key: (less[key] or 0.0, more[key] or 0.0) for key in tests}
    if verdict is Verdict.NOT_REPRODUCED:
        decides = min(known, key=lambda key: known[key][1])
    else:
        decides = max(known, key=lambda key: known[key][0])
    name, found = tests[decides]
    return Finding(
        verdict=verdict,
        sentence=f"{said[verdict]} {name}: {difference(found)}, {chance_of(verdict, p, contrary)}",
        test=test,
        n=min(min(each.n) for _, each in tests.values()),
        estimate=found.difference,
        unit=UNIT,
        interval=found.interval,
        bound=0.0,
        p=p,
        p_contrary=contrary,
        details={
            "differences": {key: each.difference for key, (_, each) in tests.items()},
            "p": less,
            "p_contrary": more,
        },
    )


def _of_all(ps: dict[str, float | None], of: Callable[[list[float]], float]) -> float | None:
    """One p of several tests; None where one of them has none."""
    known = [p for p in ps.values() if p is not None]
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


def difference(found: TTest, measure: Measure = MEASURES["error"]) -> str:
    """A difference, such as of errors, for a reader."""
    shown, interval = number(found.difference, measure.decimals), span(found.interval, measure.decimals)
    return f"difference {shown} {measure.short} ({interval}; {found.how})"


def _margin(claim: Claim, runs: ClaimRuns) -> float:
    table = runs.claims.tables[claim.test["margin_of"]]
    margin = table.datasets[claim.settings[0].dataset].no_worse_margin
    assert margin is not None  # read_claims checks it
    return margin
