"""What was found of a claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from softshare.evidence.verdict import Verdict
from softshare.evidence.wording import number


@dataclass(frozen=True)
class Finding:
    """What a test of a claim found; None stands for what cannot be said.

    Attributes:
        verdict: What is said of the claim.
        sentence: What was found, in one plain sentence.
        test: The test in words.
        n: Runs or pairs of runs behind it; the smaller number where two settings differ in it.
        estimate: What was measured: a difference, a mean, a count.
        unit: Of the estimate, its interval and the bound.
        interval: 95 % interval of the estimate.
        bound: What the estimate is held against: 0 for a direction, a margin, a level, the paper's value.
        p: Small where the claim holds: "reproduced" rests on it. Of a claim with two halves it is 1 where the half
            without a p does not hold.
        p_contrary: Small where the contrary holds: where there is one, "not reproduced" rests on it.
        details: What else was found, such as values by seed.
        notes: What a reader should know.
        at: Where the verdict was reached, where that is no scale: the architecture, the bench.
    """

    verdict: Verdict
    sentence: str
    test: str = ""
    n: int | None = None
    estimate: float | None = None
    unit: str = ""
    interval: tuple[float, float] | None = None
    bound: float | None = None
    p: float | None = None
    p_contrary: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    at: str = ""


class UnansweredError(Exception):
    """Carries why a claim cannot be tested, from the check that finds it to `judge_claims`."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        super().__init__(reason)
        self.verdict, self.reason = verdict, reason


def decided(p: float | None, p_contrary: float | None, alpha: float) -> tuple[Verdict, float, float]:
    """The verdict of a test in a direction: shown, its contrary shown, or neither; and both p, which are known then.

    Raises:
        UnansweredError: The runs show no spread, so that no p can be told.
    """
    if p is None or p_contrary is None:
        raise UnansweredError(Verdict.INCONCLUSIVE, "the runs show no spread between seeds: no test can be made")
    if p < alpha:
        return Verdict.REPRODUCED, p, p_contrary
    return Verdict.NOT_REPRODUCED if p_contrary < alpha else Verdict.INCONCLUSIVE, p, p_contrary


def within(value: float, bound: float) -> Verdict:
    """The verdict on a value that is to be no more than a bound: up to it, up to twice it, beyond."""
    if value <= bound:
        return Verdict.REPRODUCED
    return Verdict.CLOSE if value <= 2 * bound else Verdict.NOT_REPRODUCED


def span(interval: Sequence[float] | None, decimals: int = 2) -> str:
    """A 95 % interval for a reader."""
    if interval is None:
        return "no interval"
    return f"95 % interval {number(interval[0], decimals)} to {number(interval[1], decimals)}"


def chance(p: float) -> str:
    """A probability for a reader."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def chance_of(verdict: Verdict, p: float, p_contrary: float) -> str:
    """The probability that a verdict rests on, for a reader."""
    return f"{chance(p_contrary)} for the contrary" if verdict is Verdict.NOT_REPRODUCED else chance(p)
