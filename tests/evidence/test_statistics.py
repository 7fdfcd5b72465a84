"""The tests behind a verdict: equal to scipy's own, and wrong as often as they are allowed to be."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from softshare.evidence.statistics import (
    TTest,
    change_interval,
    compare,
    holm,
    one_sample,
    paired,
    summary_of,
    welch,
)

# scipy warns where an example is all alike on one side.
pytestmark = pytest.mark.filterwarnings("ignore:Precision loss")

TRIALS = 2000
SD = 0.11  # between seeds, CIFAR-10
MARGIN = 0.3

# Errors as they are told: whole images of 10,000.
errors = st.lists(st.integers(0, 10000).map(lambda images: images / 100), min_size=2, max_size=8)
shifts = st.floats(-5, 5)


def spread(values: list[float]) -> bool:
    return max(values) - min(values) > 1e-9


def four_standard_errors(share: float, trials: int = TRIALS) -> float:
    return 4 * math.sqrt(share * (1 - share) / trials)


def told_nothing(found: TTest) -> bool:
    answers = [found.interval, found.p_less(), found.p_more(), found.p_alike(1.0), found.p_apart(1.0)]
    return answers == [None] * 5


@given(errors, errors, shifts)
def test_welch_is_scipy_s(ours: list[float], base: list[float], than: float) -> None:
    found = welch(ours, base)
    assert found.difference == pytest.approx(np.mean(ours) - np.mean(base), abs=1e-9)
    if not (spread(ours) or spread(base)):
        assert told_nothing(found)
        return
    moved = [error - than for error in ours]
    less = stats.ttest_ind(moved, base, equal_var=False, alternative="less").pvalue
    assert found.p_less(than) == pytest.approx(less, abs=1e-9)
    assert found.p_more(than) == pytest.approx(1 - less, abs=1e-9)
    wanted = stats.ttest_ind(ours, base, equal_var=False).confidence_interval(0.95)
    assert found.interval == pytest.approx(tuple(wanted), abs=1e-6)
    assert found.n == (len(ours), len(base)) and found.pairs is None


@given(st.data(), st.integers(2, 8), shifts)
def test_paired_is_scipy_s(data: st.DataObject, n: int, than: float) -> None:
    rows = st.lists(st.integers(0, 10000).map(lambda images: images / 100), min_size=n, max_size=n)
    ours, base = data.draw(rows), data.draw(rows)
    found = paired(ours, base)
    if not spread([a - b for a, b in zip(ours, base, strict=True)]):
        assert told_nothing(found)
        return
    moved = [error - than for error in ours]
    assert found.p_less(than) == pytest.approx(stats.ttest_rel(moved, base, alternative="less").pvalue, abs=1e-9)
    assert found.p_more(than) == pytest.approx(stats.ttest_rel(moved, base, alternative="greater").pvalue, abs=1e-9)
    assert found.interval == pytest.approx(tuple(stats.ttest_rel(ours, base).confidence_interval(0.95)), abs=1e-6)
    assert found.pairs == n


@given(errors, shifts)
def test_one_sample_is_scipy_s(values: list[float], than: float) -> None:
    found = one_sample(values)
    if not spread(values):
        assert told_nothing(found)
        return
    assert found.p_less(than) == pytest.approx(stats.ttest_1samp(values, than, alternative="less").pvalue, abs=1e-9)
    assert found.interval == pytest.approx(tuple(stats.ttest_1samp(values, 0).confidence_interval(0.95)), abs=1e-6)
    assert found.interval == pytest.approx(summary_of(values).interval, abs=1e-6)


@given(errors, errors, shifts)
def test_turned_round_less_is_more(ours: list[float], base: list[float], than: float) -> None:
    assert welch(ours, base).p_less(than) == pytest.approx(welch(base, ours).p_more(-than), abs=1e-9)


def test_worked_examples() -> None:
    # Differences 0.1, 0.2, 0.3: mean 0.2, sd 0.1, t = 0.2 / (0.1 / sqrt 3) = 3.4641 on 2 degrees.
    found = paired([4.0, 4.2, 4.4], [3.9, 4.0, 4.1])
    assert found.difference == pytest.approx(0.2) and found.p_more() == pytest.approx(0.0371, abs=1e-4)
    assert found.interval == pytest.approx((0.2 - 4.3027 * 0.1 / 3**0.5, 0.2 + 4.3027 * 0.1 / 3**0.5), abs=1e-4)
    # Spreads 1 and 0 over 3 and 3: standard error 1 / sqrt 3 on 2 degrees of Welch-Satterthwaite.
    found = welch([1, 2, 3], [0, 0, 0])
    assert found.p_more() == pytest.approx(stats.t.sf(2 * 3**0.5, 2)) and found.how == "Welch, 3 against 3 runs"
    # Mean 1 against 1.5.
    found = one_sample([0.0, 0.5, 1.0, 2.5])
    assert found.p_less(1.5) == pytest.approx(stats.t.cdf(-0.5 / (np.std([0, 0.5, 1, 2.5], ddof=1) / 2), 3))
    # No difference at all, and yet a spread.
    found = paired([1.0, 2.0, 3.0], [1.1, 1.9, 3.0])
    assert found.p_less() == pytest.approx(0.5) and found.p_less(0.1) < 0.2  # type: ignore[operator]


def test_too_little_is_no_answer() -> None:
    assert welch([2.0], [1.0, 0.5, 1.5]) == TTest(1.0, None, None, (1, 3))
    assert told_nothing(paired([2.0], [1.0])) and told_nothing(one_sample([2.0]))
    # Of two that never differ but by a constant nothing is certain: whole images are coarse.
    assert told_nothing(paired([4.1, 4.2, 4.4], [4.0, 4.1, 4.3]))
    with pytest.raises(ValueError, match="zip"):
        paired([1.0, 2.0], [1.0])


def test_seeds_are_paired_where_enough_are_shared() -> None:
    ours, base = {0: 4.0, 1: 4.2, 2: 4.4}, {2: 4.1, 0: 3.9, 1: 4.0, 7: 9.0}
    assert compare(ours, base) == paired([4.0, 4.2, 4.4], [3.9, 4.0, 4.1])
    assert compare(ours, {2: 4.1, 5: 4.0, 7: 3.8}) == welch([4.0, 4.2, 4.4], [4.1, 4.0, 3.8])
    assert compare(ours, base, fewest=4).pairs is None
    # Of a single run Welch's test tells nothing: that of its seed stands beside it, where there is one.
    assert compare({2: 4.5}, base) == TTest(pytest.approx(0.4), None, None, (1,), 1)
    assert compare({5: 4.5}, base) == welch([4.5], list(base.values())) and told_nothing(compare({5: 4.5}, base))


rows = st.dictionaries(st.integers(0, 6), st.integers(0, 10000).map(lambda images: images / 100), min_size=1)


@given(rows, rows, st.integers(2, 3))
def test_turned_round_a_comparison_is_its_own_negative(
    ours: dict[int, float], base: dict[int, float], fewest: int
) -> None:
    one, other = compare(ours, base, fewest), compare(base, ours, fewest)
    assert one.pairs == other.pairs and one.n == other.n[::-1]
    assert one.difference == pytest.approx(-other.difference, abs=1e-9)
    if one.interval and other.interval:
        assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]), abs=1e-6)
    else:
        assert one.interval is None and other.interval is None


@given(errors, errors, st.floats(0.01, 5))
def test_tost_is_two_one_sided_tests(ours: list[float], base: list[float], margin: float) -> None:
    found = welch(ours, base)
    if not (spread(ours) or spread(base)):
        return
    upper = stats.ttest_ind(np.array(ours) - margin, base, equal_var=False, alternative="less").pvalue
    lower = stats.ttest_ind(np.array(ours) + margin, base, equal_var=False, alternative="greater").pvalue
    assert found.p_alike(margin) == pytest.approx(max(upper, lower), abs=1e-9)
    assert found.p_apart(margin) == pytest.approx(min(1 - upper, 1 - lower), abs=1e-9)
    # Both at 5 %: the 90 % interval lies within the margins.
    low, high = stats.ttest_ind(ours, base, equal_var=False).confidence_interval(0.90)
    if min(abs(low + margin), abs(high - margin)) > 1e-6:
        assert (found.p_alike(margin) < 0.05) == (-margin < low and high < margin)  # type: ignore[operator]


def unpaired(ours: dict[int, float], base: dict[int, float]) -> TTest:
    return welch(list(ours.values()), list(base.values()))


@functools.cache
def simulated_nulls(test: Callable[..., TTest]) -> list[TTest]:
    """Experiments of 5 runs against 5 of one mean and a known spread; seeds do not correlate."""
    drawn = np.random.default_rng(20261123).normal(4.0, SD, (TRIALS, 2, 5))
    return [test(dict(enumerate(ours)), dict(enumerate(base))) for ours, base in drawn]


def simulated(difference: float, test: Callable[..., TTest]) -> list[TTest]:
    """The same with means that differ: a constant added to one side moves the difference and leaves its error."""
    return [replace(each, difference=each.difference + difference) for each in simulated_nulls(test)]


def rate(found: list[TTest], pick: Callable[[TTest], float | None]) -> float:
    """How often a p is below 5 %."""
    return float(np.mean([pick(each) < 0.05 for each in found]))  # type: ignore[operator]


@pytest.mark.parametrize("test", [compare, unpaired])
def test_a_direction_is_seen_where_there_is_none_in_5_of_100(test: Callable[..., TTest]) -> None:
    found = simulated(0.0, test)
    for pick in (TTest.p_less, TTest.p_more):
        assert abs(rate(found, pick) - 0.05) < four_standard_errors(0.05)
    covers = np.mean([each.interval[0] <= 0 <= each.interval[1] for each in found])  # type: ignore[index]
    assert abs(covers - 0.95) < four_standard_errors(0.05)


def test_pairing_keeps_its_5_of_100_where_seeds_correlate() -> None:
    random = np.random.default_rng(1)
    drawn = random.normal(0.0, SD, (TRIALS, 3, 5))
    found = [paired(list(common + ours), list(common + base)) for common, ours, base in drawn]
    assert abs(rate(found, TTest.p_less) - 0.05) < four_standard_errors(0.05)


@pytest.mark.parametrize("test", [compare, unpaired])
@pytest.mark.parametrize("edge", [MARGIN, -MARGIN])
def test_tost_errs_in_5_of_100_at_the_edge_of_the_margin(edge: float, test: Callable[..., TTest]) -> None:
    found = simulated(edge, test)
    assert abs(rate(found, lambda each: each.p_alike(MARGIN)) - 0.05) < four_standard_errors(0.05)
    assert abs(rate(found, lambda each: each.p_apart(MARGIN)) - 0.05) < four_standard_errors(0.05)
    if edge > 0:  # no worse: the upper test alone
        assert abs(rate(found, lambda each: each.p_less(MARGIN)) - 0.05) < four_standard_errors(0.05)


def test_power_is_as_the_priors_tell() -> None:
    """0.22 points are found at 80 % by a two-sided test of 5 against 5 with sd 0.11; a one-sided one finds more."""
    noncentral = 0.22 / (SD * math.sqrt(2 / 5))
    two_sided = float(stats.nct.sf(stats.t.ppf(0.975, 8), 8, noncentral))
    one_sided = float(stats.nct.sf(stats.t.ppf(0.95, 8), 8, noncentral))
    assert two_sided == pytest.approx(0.80, abs=0.02) and one_sided > 0.87
    found = simulated(-0.22, unpaired)
    excluded = np.mean([each.interval[1] < 0 for each in found])  # type: ignore[index]
    # Welch's degrees of freedom are fewer than the pooled test's: a little power is lost.
    assert abs(excluded - two_sided) < four_standard_errors(two_sided) + 0.02
    assert abs(rate(found, TTest.p_less) - one_sided) < four_standard_errors(one_sided) + 0.02


def test_no_worse_at_a_margin_of_0_3_is_found_where_it_is_so() -> None:
    found = simulated(0.0, compare)
    assert rate(found, lambda each: each.p_alike(MARGIN)) > 0.9


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_by_its_definition(ps: list[float]) -> None:
    adjusted = holm(ps)
    ordered = sorted(ps)
    for p, found in zip(ps, adjusted, strict=True):
        steps = [(len(ps) - rank) * value for rank, value in enumerate(ordered) if value <= p]
        assert found == pytest.approx(min(1.0, max(steps)))
        assert p <= found <= 1


def test_holm_s_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    random = np.random.default_rng(2)
    families = [min(holm(list(row))) < 0.05 for row in random.random((TRIALS, 28))]
    assert np.mean(families) < 0.05 + four_standard_errors(0.05)


def test_the_change_of_paired_shares() -> None:
    # 30 against 10 of 10,000: +0.2 points; sqrt(41 - 20 ** 2 / 10002) / 10002 is 0.0640 points.
    low, high = change_interval(10, 30, 10000)
    assert low == pytest.approx(0.2 - 1.96 * 0.0640, abs=2e-3) and high == pytest.approx(0.2 + 1.96 * 0.0640, abs=2e-3)
    assert change_interval(30, 10, 10000) == pytest.approx((-high, -low))
    low, high = change_interval(0, 0, 10000)
    assert low < 0 < high < 0.05


@pytest.mark.parametrize(("before", "after"), [(0.002, 0.002), (0.001, 0.004)])
def test_the_change_is_covered_95_times_in_100(before: float, after: float) -> None:
    random = np.random.default_rng(3)
    cells = random.multinomial(10000, [before, after, 1 - before - after], TRIALS)
    true = 100 * (after - before)
    covered = [low <= true <= high for low, high in (change_interval(b, c, 10000) for b, c, _ in cells)]
    assert abs(np.mean(covered) - 0.95) < four_standard_errors(0.05) + 0.005  # counts are coarse
