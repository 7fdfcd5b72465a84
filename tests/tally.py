"""`make torture`: the attacks among the tests at their full length, and a table of what was tried and what survived.

A test is part of an attack by the mark `attack(name)`. An argument `attempt` runs it several times: a few in the
suite, all of them with `--torture` (mark `attempts(suite, torture)`). A test that makes many tries by itself records
their number as the property `tries`.
"""

import platform
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tabulate import tabulate

__all__ = [
    "full",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_terminal_summary",
]

REPORTED = pytest.StashKey["dict[str, Row]"]()


@dataclass
class Row:
    """An attack, as far as it got."""

    tries: int = 0
    survived: int = 0
    seconds: float = 0.0
    not_run: list[str] = field(default_factory=list)


def pytest_addoption(parser):
    parser.addoption(
        "--torture", type=Path, metavar="TABLE", help="run the attacks alone, at full length, and write their table"
    )


def pytest_configure(config):
    config.stash[REPORTED] = defaultdict(Row)


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


def pytest_terminal_summary(terminalreporter, config):
    file = config.getoption("--torture")
    if file is None or hasattr(config, "workerinput"):  # of several processes the one that heard of all tests
        return
    rows = config.stash[REPORTED]
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.getreports(outcome):
            properties = dict(getattr(report, "user_properties", ()))
            if "attack" not in properties:
                continue
            row = rows[properties["attack"]]
            if outcome == "skipped":
                reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
                row.not_run.append(reason.removeprefix("Skipped: "))
            elif report.when == "call" or outcome != "passed":
                tries = properties.get("tries", 1)
                row.tries += tries
                row.survived += tries if outcome == "passed" else properties.get("survived", 0)
    for reports in terminalreporter.stats.values():
        for report in reports:
            attack = dict(getattr(report, "user_properties", ())).get("attack")
            if attack and hasattr(report, "duration"):
                rows[attack].seconds += report.duration
    table = _table(rows)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"{table}\n\n{time.strftime('%Y-%m-%d')}, {platform.platform()}, Python {platform.python_version()}.\n"
    )
    terminalreporter.section("torture")
    terminalreporter.write_line(table)
    terminalreporter.write_line(f"written to {file}")


def _table(rows):
    cells = [
        [name, row.tries, row.survived, "; ".join(sorted(set(row.not_run))) or "-", round(row.seconds)]
        for name, row in sorted(rows.items())
    ]
    total = [sum(row.tries for row in rows.values()), sum(row.survived for row in rows.values())]
    cells.append(["all", *total, "", round(sum(row.seconds for row in rows.values()))])
    return tabulate(cells, ["attack", "tries", "survived", "not run", "seconds"], tablefmt="pipe")
