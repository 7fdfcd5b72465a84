"""McNemar's exact test."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from softshare.evidence.mcnemar import mcnemar


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_p_is_the_sign_test_of_what_differs(only_before, only_after, both):
    before = np.array([True] * only_before + [False] * only_after + [True] * both + [False])
    after = np.array([False] * only_before + [True] * only_after + [True] * both + [False])
    paired = mcnemar(before, after)
    assert (paired.only_before, paired.only_after) == (only_before, only_after)
    count = only_before + only_after
    expected = min(1.0, 2 * binom.cdf(min(only_before, only_after), count, 0.5)) if count else 1.0
    assert paired.p == pytest.approx(expected, rel=1e-9)


def test_false_alarms_are_no_more_than_5_percent():
    generator = np.random.default_rng(0)
    wrong = generator.random((2, 2000, 400)) < 0.1
    alarms = [mcnemar(before, after).p < 0.05 for before, after in zip(*wrong, strict=True)]
    assert np.mean(alarms) < 0.05  # exact tests are on the safe side


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((0,), (0,)), ((2, 2), (2, 2))])
def test_other_images_are_refused(shapes):
    with pytest.raises(ValueError, match="the same images"):
        mcnemar(np.zeros(shapes[0], bool), np.zeros(shapes[1], bool))
