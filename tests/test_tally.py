"""The table of `make torture`: what is counted where tests pass, fail midway, are skipped or end with their process."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tally import Tries
from tally_table import LOST, rows_of, table_of, tries_of

COUNTS = st.integers(0, 9)


def heard(outcome, name="t", longrepr=None, **properties):
    return outcome, SimpleNamespace(
        nodeid=name, user_properties=list(properties.items()), duration=0.5, longrepr=longrepr
    )


@given(
    st.fixed_dictionaries({}, optional={"tries": COUNTS, "survived": COUNTS}),
    st.booleans(),
    st.booleans(),
)
def test_never_do_more_survive_than_were_tried_and_a_failure_is_a_try_that_did_not(properties, failed, skipped):
    tries, survived = tries_of(properties, failed, skipped)
    assert 0 <= survived <= tries
    assert tries >= properties.get("tries", 0)
    if failed:
        assert survived < tries


@given(st.lists(st.booleans(), max_size=8), st.booleans())
def test_the_row_of_a_test_tells_what_its_tries_came_to(ends, at_the_end):
    """Tries up to the first that does not survive; or a fault that is found after all of them."""
    properties = [("attack", "a")]
    tries, failed = Tries(properties), at_the_end
    for survives in ends:
        try:
            with tries.one():
                assert survives
        except AssertionError:
            failed = True
            break
    row = rows_of([heard("failed" if failed else "passed", **dict(properties))])["a"]
    made = ends.index(False) + 1 if False in ends else len(ends)
    assert row.tries == (max(made, 1) if failed else made)
    survivors = made - (False in ends)
    assert row.survived == (min(survivors, row.tries - 1) if failed else survivors)


def test_a_test_counts_once_though_its_end_fails_too():
    each = {"attack": "a", "tries": 3, "survived": 3}
    row = rows_of([heard("", **each), heard("passed", **each), heard("error", **each)])["a"]
    assert (row.tries, row.survived, row.seconds) == (3, 2, 1.5)


def test_what_is_skipped_is_no_try_and_tells_why():
    row = rows_of([heard("skipped", longrepr=("file", 1, "Skipped: no root"), attack="a")])["a"]
    assert (row.tries, row.survived, row.not_run) == (0, 0, {"no root"})


def test_a_test_whose_process_died_is_counted():
    rows = rows_of([heard("failed"), heard("passed", "other", attack="a")])
    assert (rows[LOST].tries, rows[LOST].survived) == (1, 0)
    assert table_of(rows).splitlines()[-1].replace(" ", "").startswith("|all|2|1|")


TESTS = """
import os
import pytest

pytestmark = pytest.mark.attack("an attack")

def test_that_passes(tries):
    for _ in tries.each(range(4)):
        pass

def test_that_fails_at_its_third_try(tries):
    for number in tries.each(range(5)):
        assert number < 2

def test_that_fails_before_its_first_try(tries):
    raise OSError

def test_of_one_try_that_fails():
    raise OSError

@pytest.fixture
def broken():
    raise OSError

def test_that_is_not_set_up(broken):
    pass

@pytest.fixture
def not_torn_down():
    yield
    raise OSError

def test_that_is_not_torn_down(tries, not_torn_down):
    tries.add(7, 7)

def test_that_is_skipped():
    pytest.skip("not here")

@pytest.mark.attempts(1, 6)
def test_of_attempts(attempt):
    assert attempt != 5
"""


@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, pytest.param(2, marks=pytest.mark.long)])
def test_pytest_writes_the_table(processes, tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tally", "-p", "no:cacheprovider", "-n", str(processes)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [*command, "--torture", "table.md", "--rootdir", ".", "test_it.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    table = (tmp_path / "table.md").read_text()
    # 4 of 4, 2 of 3, 0 of 1 three times, 6 of 7, none of none, 5 of 6.
    assert re.search(r"^\| an attack +\| +23 \| +17 \| not here ", table, re.M), table
