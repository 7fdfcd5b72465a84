"""The difference between two rows of ours, with its 95 % interval. The rule is fixed before any run.

Runs of one seed see the same images in the same order, so two rows are compared seed by seed (t interval of the
paired differences) wherever two seeds or more are complete in both; otherwise by Welch's t interval, which needs two
runs in each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from softshare.evidence.statistics import paired, welch


@dataclass(frozen=True)
class Contrast:
    """One row's test error minus another's, in percentage points.

    Attributes:
        difference: Of the means; over the shared seeds where it is paired.
        interval: Its 95 % interval; None where there are too few runs, or where they show no spread at all: with
            errors that count images that happens by chance, and is no certainty.
        pairs: Seeds behind a paired interval; None = Welch's.
    """

    difference: float
    interval: tuple[float, float] | None
    pairs: int | None


def contrast(ours: Mapping[int, float], base: Mapping[int, float]) -> Contrast | None:
    """Holds the errors of one row against another's.

    Args:
        ours: Final test error of each run, in percent, by seed.
        base: The same of the row to compare with.

    Returns:
        None where the two have no seed in common and too few runs for Welch's interval.
    """
    shared = sorted(ours.keys() & base.keys())
    if len(shared) < 2 and min(len(ours), len(base)) >= 2:
        found = welch(list(ours.values()), list(base.values()))
    elif shared:
        found = paired([ours[seed] for seed in shared], [base[seed] for seed in shared])
    else:
        return None
    return Contrast(found.difference, found.interval, found.pairs)
