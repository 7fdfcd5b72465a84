"""Is the paper's number reproduced? One rule, fixed before any run.

`|ours - paper| <= t * s * sqrt(1/n_paper + 1/n_ours)` is "reproduced", up to twice that "close", beyond it
"not reproduced". s is the larger of our own spread and the prior one, so that seeds which happen to agree do
not make the rule stricter than the noise allows. t is the two-sided 95 % quantile of Student's t with
n_paper + n_ours - 2 degrees of freedom, as for the difference of two means of unknown, equal spread.

Taking the larger spread makes the rule lenient on purpose: with 5 against 5 runs and a prior that is right, a
true reproduction is called "reproduced" in 98 % of cases; with a prior far too small, in 92 %, for our
own spread then counts for both sides though only n_ours - 1 degrees of freedom stand behind it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from softshare.evidence.reported import PaperNumber
from softshare.evidence.statistics import summary_of, two_sided_quantile

FEWEST_SEEDS = 3
CLOSE = 2.0


class Verdict(StrEnum):
    """What is said about a number of the paper."""

    REPRODUCED = "reproduced"
    CLOSE = "close"
    NOT_REPRODUCED = "not reproduced"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not run"
    NOT_COMPARABLE = "not comparable"
    MIXED = "mixed runs"
    NO_NUMBER = "no number in the paper"


@dataclass(frozen=True)
class Judgement:
    """Our runs, held against a number of the paper. None stands for what cannot be said.

    Attributes:
        verdict: What is said.
        n: Our runs.
        mean: Of our runs.
        sd: Between our runs (n - 1 in the denominator); None below two.
        interval: 95 % t interval of our own mean; None below two runs.
        difference: Ours minus the paper's; None where they are not comparable.
        band: Half-width of the band around the paper's value; None where they are not comparable.
        sd_used: The spread behind the band: the larger of our own and the prior.
    """

    verdict: Verdict
    n: int
    mean: float | None = None
    sd: float | None = None
    interval: tuple[float, float] | None = None
    difference: float | None = None
    band: float | None = None
    sd_used: float | None = None


def judge(
    errors: Sequence[float], paper: PaperNumber | None, *, comparable: bool = True, mixed: bool = False
) -> Judgement:
    """Holds the errors of our runs against a number of the paper.

    Args:
        errors: Final test error of each run, in percent.
        paper: The paper's number; None where it gives none.
        comparable: Whether what was run is what the paper ran.
        mixed: Whether the runs are of more than one kind: other settings, other code, other data.
    """
    n = len(errors)
    if n == 0:
        return Judgement(Verdict.NOT_RUN, 0)
    found = summary_of(errors)
    mean, sd, interval = found.mean, found.sd, found.interval
    if paper is None:
        return Judgement(Verdict.NO_NUMBER, n, mean, sd, interval)
    if not comparable:
        return Judgement(Verdict.NOT_COMPARABLE, n, mean, sd, interval)
    if mixed:
        return Judgement(Verdict.MIXED, n, mean, sd, interval)
    sd_used = max(sd or 0.0, paper.prior_sd)
    band = band_half_width(sd_used, paper.n, n)
    difference = mean - paper.value
    return Judgement(verdict_within(difference, band, n), n, mean, sd, interval, difference, band, sd_used)


def band_half_width(sd: float, n_paper: int, n_ours: int) -> float:
    """How far the means of two sets of runs of one network may lie apart by chance."""
    degrees = max(n_paper + n_ours - 2, 1)
    return two_sided_quantile(degrees) * sd * math.sqrt(1 / n_paper + 1 / n_ours)


def verdict_within(difference: float, band: float, n: int) -> Verdict:
    """What is said of a difference, given the half-width of the band around the paper's value."""
    if n < FEWEST_SEEDS:
        return Verdict.INCONCLUSIVE
    if abs(difference) <= band:
        return Verdict.REPRODUCED
    return Verdict.CLOSE if abs(difference) <= CLOSE * band else Verdict.NOT_REPRODUCED
