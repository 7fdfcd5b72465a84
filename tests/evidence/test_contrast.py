"""The difference between two rows of ours: equal to scipy's, and silent where nothing can be told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from softshare.evidence.contrast import Contrast, contrast

# Errors as they are told: whole images of 10,000.
errors = st.integers(0, 10000).map(lambda images: images / 100)
rows = st.dictionaries(st.integers(0, 6), errors, min_size=1)


def spread(values: list[float]) -> bool:
    return max(values) - min(values) > 1e-9


@given(rows, rows)
def test_equal_to_scipy(ours: dict[int, float], base: dict[int, float]) -> None:
    found = contrast(ours, base)
    shared = sorted(set(ours) & set(base))
    one, other = [ours[seed] for seed in shared], [base[seed] for seed in shared]
    if len(shared) >= 2:
        assert found is not None and found.pairs == len(shared)
        assert found.difference == pytest.approx(np.mean(one) - np.mean(other), abs=1e-9)
        if spread([a - b for a, b in zip(one, other, strict=True)]):
            assert found.interval == pytest.approx(
                tuple(stats.ttest_rel(one, other).confidence_interval(0.95)), abs=1e-6
            )
        else:
            assert found.interval is None
    elif len(ours) >= 2 and len(base) >= 2:
        one, other = list(ours.values()), list(base.values())
        assert found is not None and found.pairs is None
        if spread(one) or spread(other):
            wanted = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
            assert found.interval == pytest.approx(tuple(wanted), abs=1e-6)
        else:
            assert found.interval is None
    elif shared:
        assert found == Contrast(one[0] - other[0], None, 1)
    else:
        assert found is None


@given(rows, rows)
def test_turned_round_it_is_its_own_negative(ours: dict[int, float], base: dict[int, float]) -> None:
    one, other = contrast(ours, base), contrast(base, ours)
    assert (one is None) == (other is None)
    if one and other:
        assert one.difference == pytest.approx(-other.difference, abs=1e-9) and one.pairs == other.pairs
        if one.interval and other.interval:
            assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]), abs=1e-6)


def test_a_worked_example() -> None:
    found = contrast({0: 4.0, 1: 4.2, 2: 4.4}, {2: 4.1, 0: 3.9, 1: 4.0})
    assert found is not None and found.pairs == 3 and found.difference == pytest.approx(0.2)
    # sd of (0.1, 0.2, 0.3) is 0.1; t of 2 degrees of freedom at 97.5 % is 4.3027.
    assert found.interval == pytest.approx((0.2 - 4.3027 * 0.1 / 3**0.5, 0.2 + 4.3027 * 0.1 / 3**0.5), abs=1e-4)


@pytest.mark.parametrize("shared_seeds", [True, False])
def test_covers_no_difference_95_times_in_100(shared_seeds: bool) -> None:
    random = np.random.default_rng(0)
    trials, hits = 1000, 0
    for one, other in random.normal(4.0, 0.11, (trials, 2, 5)):
        seeds = range(5) if shared_seeds else range(5, 10)
        found = contrast(dict(enumerate(one)), dict(zip(seeds, other, strict=True)))
        assert found is not None and found.interval is not None
        hits += found.interval[0] <= 0 <= found.interval[1]
    # Welch's own error rate is near 5 % for two rows of equal spread; four standard errors of a share.
    assert abs(hits / trials - 0.95) < 4 * (0.95 * 0.05 / trials) ** 0.5
