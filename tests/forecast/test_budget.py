"""What a budget buys, against all choices there are."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softshare.errors import UserError
from softshare.forecast.budget import Piece, buy, parse_budget
from softshare.scales import Run, Setting

PIECES = [Piece(Run(Setting("cifar10", f"wrn-{16 + 6 * index}-1", "cifar"), 0)) for index in range(6)]


@settings(max_examples=25)
@given(
    st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True), min_size=1, max_size=6),
    st.lists(st.integers(0, 9), min_size=6, max_size=6),
    st.integers(1, 40),
)
def test_no_choice_answers_more_for_less(claims, costs, budget):
    needs = {f"claim{index}": [PIECES[each] for each in of] for index, of in enumerate(claims)}
    seconds = dict(zip(PIECES, map(float, costs), strict=True))

    def cost(chosen):
        return sum(seconds[piece] for piece in {piece for claim in chosen for piece in needs[claim]})

    choices = [each for size in range(len(needs) + 1) for each in itertools.combinations(needs, size)]
    count, least = max((len(each), -cost(each)) for each in choices if cost(each) <= budget)
    if count == 0:
        with pytest.raises(UserError, match="buys no claim"):
            buy(needs, seconds, budget)
        return
    found = buy(needs, seconds, budget)
    assert found.exact and len(found.claims) == count
    assert found.seconds == pytest.approx(-least) and found.seconds == cost(found.claims)
    assert {*found.claims, *found.left_out} == set(needs)


@pytest.mark.parametrize(("text", "hours"), [("20h", 20), ("90m", 1.5), ("2d", 48), ("0.5h", 0.5)])
def test_budgets_are_read(text, hours):
    assert parse_budget(text) == hours


@pytest.mark.parametrize("text", ["20", "h", "-3h", "0h", "three days", "nanh", "\u0663h", 400 * "9" + "h"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(UserError, match="is no budget"):
        parse_budget(text)
