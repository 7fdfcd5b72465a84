"""What is written of computed numbers does not hang on the processor."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from softshare.evidence.digits import agreed

NUMBERS = st.floats(-1e300, 1e300)


@given(NUMBERS)
def test_a_number_keeps_ten_digits(value):
    kept = agreed(value)
    assert math.isclose(kept, value, rel_tol=1e-9, abs_tol=1e-14) and agreed(kept) == kept


def test_the_last_digits_of_two_processors_are_not_told():
    for one, other in [(0.00031029729528186283, 0.0003102972952818672), (2.7946187971055684e-16, 2.837e-16)]:
        assert agreed(one) == agreed(other)
    assert agreed(0.00031029729528) != agreed(0.00031029739528)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | NUMBERS, st.lists, max_leaves=8))
def test_all_else_is_left_as_it_is(value):
    kept = agreed({"a": value})
    assert json.loads(json.dumps(kept)) == kept and agreed(kept) == kept


def test_whole_numbers_and_truth_stay_what_they_are():
    assert agreed([12345678901234, True, "1.23456789012345", None]) == [12345678901234, True, "1.23456789012345", None]
    assert agreed(float("inf")) == float("inf")
