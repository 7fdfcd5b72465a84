"""Numbers for a reader: what rounds to zero has no sign, and a minus is no hyphen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softshare.evidence.wording import by_reason, in_words, mean_and_sd, number, seeds_in_words, signed


@pytest.mark.parametrize(
    ("value", "plainly", "with_sign"),
    [
        (1.234, "1.23", "+1.23"),
        (-1.234, "\N{MINUS SIGN}1.23", "\N{MINUS SIGN}1.23"),
        (0.0, "0.00", "0.00"),
        (-0.0, "0.00", "0.00"),
        (-0.004, "0.00", "0.00"),
        (0.004, "0.00", "0.00"),
        (-0.006, "\N{MINUS SIGN}0.01", "\N{MINUS SIGN}0.01"),
    ],
)
def test_signs(value: float, plainly: str, with_sign: str) -> None:
    assert number(value) == plainly and signed(value, 2) == with_sign


@given(st.floats(-1e6, 1e6), st.integers(0, 4))
def test_it_reads_back_to_what_it_was(value: float, decimals: int) -> None:
    for text in (number(value, decimals), signed(value, decimals)):
        assert "-" not in text
        assert float(text.replace("\N{MINUS SIGN}", "-")) == pytest.approx(value, abs=0.5001 * 10**-decimals)


def test_a_spread_stands_beside_its_mean_where_there_is_one() -> None:
    assert mean_and_sd(3.746, 0.051, 2) == "3.75 ± 0.05"
    assert mean_and_sd(0.5, None, 3) == "0.500"


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        ([3], "seed 3"),
        ([0, 1], "seeds 0 and 1"),
        ([2, 1, 0], "seeds 0 to 2"),
        ([0, 2, 5, 6, 7], "seeds 0, 2 and 5 to 7"),
        ([0, 1, 4], "seeds 0, 1 and 4"),
    ],
)
def test_seeds_in_words(seeds: list[int], told: str) -> None:
    assert seeds_in_words(seeds) == told


def test_seeds_of_one_reason_are_told_together() -> None:
    left_out = [(0, "not run"), (1, "truncated"), (2, "not run"), (3, "not run"), (4, "not run")]
    assert by_reason(left_out) == ["seeds 0 and 2 to 4: not run", "seed 1: truncated"] and by_reason([]) == []
    assert in_words(["a"]) == "a" and in_words("abc") == "a, b and c"
