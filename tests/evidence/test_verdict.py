"""The rule for a verdict: its worked numbers, its laws, and how often it is right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from softshare.evidence.reported import PaperNumber
from softshare.evidence.statistics import Summary
from softshare.evidence.verdict import Verdict, band_half_width, judge

CIFAR10 = PaperNumber(4.00, 5, 0.11, 0.3)

errors = st.lists(st.floats(0, 100), min_size=1, max_size=8)
offsets = st.floats(-5, 5)
ORDER = [Verdict.REPRODUCED, Verdict.CLOSE, Verdict.NOT_REPRODUCED]


def around(mean: float, n: int = 5, step: float = 0.01) -> list[float]:
    """Errors with that mean and little spread."""
    return [mean + step * (index - (n - 1) / 2) for index in range(n)]


@pytest.mark.parametrize(("sd", "band", "half"), [(0.11, 0.16, 0.14), (0.23, 0.34, 0.29)])
def test_the_worked_numbers_of_five_against_five(sd: float, band: float, half: float) -> None:
    assert round(band_half_width(sd, 5, 5), 2) == band
    low, high = Summary(5, 0.0, sd).interval  # type: ignore[misc]
    assert round(high, 2) == half == round(-low, 2)


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        (around(4.15), Verdict.REPRODUCED),
        (around(3.85), Verdict.REPRODUCED),
        (around(4.31), Verdict.CLOSE),
        (around(3.69), Verdict.CLOSE),
        (around(4.33), Verdict.NOT_REPRODUCED),
        (around(3.67), Verdict.NOT_REPRODUCED),
        (around(4.00, n=2), Verdict.INCONCLUSIVE),
        (around(9.00, n=1), Verdict.INCONCLUSIVE),
        ([], Verdict.NOT_RUN),
    ],
)
def test_each_verdict(ours: list[float], verdict: Verdict) -> None:
    assert judge(ours, CIFAR10).verdict is verdict


def test_what_cannot_be_said_is_none() -> None:
    assert judge([], CIFAR10).mean is None
    assert judge([4.0], CIFAR10).sd is None
    assert judge([4.0], CIFAR10).interval is None
    other = judge(around(4.0), CIFAR10, comparable=False)
    assert other.verdict is Verdict.NOT_COMPARABLE
    assert other.difference is None and other.band is None and other.mean == pytest.approx(4.0)
    assert judge([], CIFAR10, comparable=False).verdict is Verdict.NOT_RUN


@given(errors)
def test_without_a_number_of_the_paper_ours_still_stands(ours: list[float]) -> None:
    without, held = judge(ours, None), judge(ours, CIFAR10)
    assert without.verdict is Verdict.NO_NUMBER
    assert (without.n, without.mean, without.sd, without.interval) == (held.n, held.mean, held.sd, held.interval)
    assert without.difference is without.band is without.sd_used is None
    assert judge([], None).verdict is Verdict.NOT_RUN


def test_the_larger_spread_counts() -> None:
    assert judge(around(4.0, step=0.001), CIFAR10).sd_used == 0.11
    wide = judge(around(4.0, step=1.0), CIFAR10)
    assert wide.sd_used == wide.sd == pytest.approx(math.sqrt(2.5))


@given(errors)
def test_no_side_is_favoured(ours: list[float]) -> None:
    mirrored = [2 * CIFAR10.value - error for error in ours]
    one, other = judge(ours, CIFAR10), judge(mirrored, CIFAR10)
    assert one.difference == pytest.approx(-other.difference, abs=1e-9)  # type: ignore[operator]
    assert one.band == pytest.approx(other.band)
    if min(abs(abs(one.difference) - k * one.band) for k in (1, 2)) > 1e-9:  # type: ignore[operator, arg-type]
        assert one.verdict is other.verdict


@given(offsets, offsets, st.integers(3, 8))
def test_further_away_is_never_better(one: float, other: float, n: int) -> None:
    near, far = sorted((one, other), key=abs)
    verdicts = [judge(around(CIFAR10.value + offset, n), CIFAR10).verdict for offset in (near, far)]
    if abs(far) - abs(near) > 1e-9:
        assert ORDER.index(verdicts[0]) <= ORDER.index(verdicts[1])


@given(errors, st.floats(-50, 50), st.randoms())
def test_neither_order_nor_a_common_shift_matters(ours: list[float], shift: float, random: object) -> None:
    moved = [error + shift for error in ours]
    random.shuffle(moved)  # type: ignore[attr-defined]
    one = judge(ours, CIFAR10)
    other = judge(moved, PaperNumber(CIFAR10.value + shift, 5, 0.11, 0.3))
    assert one.difference == pytest.approx(other.difference, abs=1e-9)
    assert one.band == pytest.approx(other.band, abs=1e-9)


@given(st.floats(0.01, 10), st.integers(1, 20), st.integers(1, 20))
def test_more_runs_narrow_the_band(sd: float, paper: int, ours: int) -> None:
    assert band_half_width(sd, paper, ours + 1) < band_half_width(sd, paper, ours) or paper + ours == 2


@pytest.mark.parametrize(
    ("prior", "chance"),
    [
        # A prior that is right: own spread only ever widens the band (integrated over the chi-square of it).
        (0.11, None),
        # A prior far too small: own spread alone, 4 degrees of freedom judged with the quantile of 8.
        (1e-9, 2 * stats.t.cdf(stats.t.ppf(0.975, 8), 4) - 1),
    ],
)
def test_how_often_a_true_reproduction_is_called_one(prior: float, chance: float | None) -> None:
    quantile = stats.t.ppf(0.975, 8)
    if chance is None:
        chance = integrate.quad(
            lambda q: stats.chi2.pdf(q, 4) * (2 * stats.norm.cdf(quantile * max(math.sqrt(q / 4), 1)) - 1),
            0,
            100,
        )[0]
        assert round(chance, 2) == 0.98
    else:
        assert round(chance, 2) == 0.92
    random = np.random.default_rng(0)
    trials = 2000
    papers, ours = random.normal(4.0, 0.11, (2, trials, 5))
    hits = sum(
        judge(mine, PaperNumber(float(theirs.mean()), 5, prior, 0.3)).verdict is Verdict.REPRODUCED
        for theirs, mine in zip(papers, ours, strict=True)
    )
    # Four standard errors of a share of 2,000 trials.
    assert abs(hits / trials - chance) < 4 * math.sqrt(chance * (1 - chance) / trials)


def test_a_share_of_95_percent_where_the_spread_is_pooled() -> None:
    """The quantile fits its textbook case: both spreads known only from the 5 + 5 runs, pooled."""
    random = np.random.default_rng(1)
    trials = 2000
    papers, ours = random.normal(4.0, 0.11, (2, trials, 5))
    pooled = np.sqrt((papers.var(axis=1, ddof=1) + ours.var(axis=1, ddof=1)) / 2)
    gaps = np.abs(papers.mean(axis=1) - ours.mean(axis=1))
    share = float(np.mean(gaps <= pooled * band_half_width(1.0, 5, 5)))
    assert abs(share - 0.95) < 4 * math.sqrt(0.95 * 0.05 / trials)
