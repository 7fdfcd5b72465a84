"""`make torture`: the attacks among the tests at their full length, and a table of what was tried and what survived.

A test is part of an attack by the mark `attack(name)`. An argument `attempt` runs it several times: a few in the
suite, all of them with `--torture` (mark `attempts(suite, torture)`). A test that makes many tries by itself counts
them with the fixture `tries`; `tally_table` tells what becomes of them where it fails.
"""

import contextlib
import platform
import time
from pathlib import Path

import pytest
from tally_table import rows_of, table_of

__all__ = [
    "full",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_generate_tests",
    "pytest_terminal_summary",
    "tries",
]


def pytest_addoption(parser):
    parser.addoption(
        "--torture", type=Path, metavar="TABLE", help="run the attacks alone, at full length, and write their table"
    )


def pytest_generate_tests(metafunc):
    if "attempt" in metafunc.fixturenames:
        suite, torture = metafunc.definition.get_closest_marker("attempts").args
        count = torture if metafunc.config.getoption("--torture") else suite
        metafunc.parametrize("attempt", range(count))


def pytest_collection_modifyitems(config, items):
    torture = config.getoption("--torture")
    kept, left = [], []
    for item in items:
        attack = item.get_closest_marker("attack")
        if attack:
            item.user_properties.append(("attack", attack.args[0]))
        wanted = attack if torture else not item.get_closest_marker("torture_alone")
        (kept if wanted else left).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left)


@pytest.fixture
def full(request):
    """Whether attacks run at their full length."""
    return request.config.getoption("--torture") is not None


class Tries:
    """Counts the tries of a test while it makes them, so that one that fails midway has told of all before."""

    def __init__(self, properties):
        self._properties = properties
        self._tell(0, 0)

    @contextlib.contextmanager
    def one(self):
        """A try: it has survived where the block ends without an error."""
        self._tell(self.made + 1, self.survived)
        yield
        self._tell(self.made, self.survived + 1)

    def each(self, things):
        """Yields things, a try each: it has survived where the next one is asked for."""
        for thing in things:
            with self.one():
                yield thing

    def add(self, made, survived):
        """Counts tries that were made elsewhere, such as in a process of their own."""
        self._tell(self.made + made, self.survived + survived)

    def _tell(self, made, survived):
        self.made, self.survived = made, survived
        others = [each for each in self._properties if each[0] not in ("tries", "survived")]
        self._properties[:] = [*others, ("tries", made), ("survived", survived)]


@pytest.fixture
def tries(request):
    """Counts the tries of a test that makes many."""
    return Tries(request.node.user_properties)


def pytest_terminal_summary(terminalreporter, config):
    file = config.getoption("--torture")
    if file is None or hasattr(config, "workerinput"):  # of several processes the one that heard of all tests
        return
    reports = [
        (outcome, report)
        for outcome, found in terminalreporter.stats.items()
        for report in found
        if outcome in ("", "passed", "failed", "error", "skipped")  # "": of setting up and tearing down
    ]
    table = table_of(rows_of(reports))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"{table}\n\n{time.strftime('%Y-%m-%d')}, {platform.platform()}, Python {platform.python_version()}.\n"
    )
    terminalreporter.section("torture")
    terminalreporter.write_line(table)
    terminalreporter.write_line(f"written to {file}")
