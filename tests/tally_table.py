"""The arithmetic of `make torture`'s table: from what pytest heard of each test to tries and survivors.

A test counts once, whatever was heard of it while it was set up, called and torn down. Where any of that failed, at
least one try of it did not survive; survivors are never more than tries.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from tabulate import tabulate

LOST = "tests that ended before it was told what they attack"


@dataclass
class Row:
    """An attack, as far as it got."""

    tries: int = 0
    survived: int = 0
    seconds: float = 0.0
    not_run: set[str] = field(default_factory=set)


def rows_of(reports):
    """The rows of the table, by the attack's name.

    Args:
        reports: Pairs of an outcome ("", "passed", "failed", "error" or "skipped") and a report of pytest.
    """
    tests = defaultdict(list)
    for outcome, report in reports:
        tests[report.nodeid].append((outcome, report))
    rows = defaultdict(Row)
    for heard in tests.values():
        outcomes = {outcome for outcome, _ in heard}
        failed = bool(outcomes & {"failed", "error"})
        properties = {}
        for _, report in heard:  # each knows what the ones before it knew
            properties |= dict(getattr(report, "user_properties", ()))
        if "attack" not in properties and not failed:
            continue
        row = rows[properties.get("attack", LOST)]
        row.seconds += sum(getattr(report, "duration", 0.0) for _, report in heard)
        row.not_run |= {_reason(report) for outcome, report in heard if outcome == "skipped"}
        tries, survived = tries_of(properties, failed, "skipped" in outcomes)
        row.tries += tries
        row.survived += survived
    return rows


def tries_of(properties, failed, skipped):
    """Tries of a test, and how many survived.

    Args:
        properties: What it told: `tries` and `survived`, where it counts them itself; else it is one try.
        failed: Whether it failed, or was not set up or torn down as it should.
        skipped: Whether it was skipped.
    """
    tries = properties.get("tries", 0 if skipped else 1)
    survived = properties.get("survived", 0 if skipped or failed else 1)
    if failed:
        tries = max(tries, 1)
        survived = min(survived, tries - 1)
    return tries, min(survived, tries)


def _reason(report):
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


def table_of(rows):
    """The rows as a table, with a last one of all."""
    cells = [
        [name, row.tries, row.survived, "; ".join(sorted(row.not_run)) or "-", round(row.seconds)]
        for name, row in sorted(rows.items())
    ]
    total = [sum(row.tries for row in rows.values()), sum(row.survived for row in rows.values())]
    cells.append(["all", *total, "", round(sum(row.seconds for row in rows.values()))])
    return tabulate(cells, ["attack", "tries", "survived", "not run", "seconds"], tablefmt="pipe")
