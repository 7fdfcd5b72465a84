"""The difference between two rows of ours, with its 95 % interval. The rule is fixed before any run.

Runs of one seed see the same images in the same order, so two rows are compared seed by seed (t interval of the
paired differences) wherever two seeds or more are complete in both; otherwise by Welch's t interval, which needs two
runs in each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from softshare.evidence.verdict import CONFIDENCE, mean_interval

# Errors count whole images: differences further below one image than this are rounding.
_ROUNDING = 1e-9


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
    differences = [ours[seed] - base[seed] for seed in shared]
    if len(shared) < 2 and min(len(ours), len(base)) >= 2:
        return _welch(list(ours.values()), list(base.values()))
    if not shared:
        return None
    mean = float(np.mean(differences))
    sd = float(np.std(differences, ddof=1)) if _spread(differences) else None
    return Contrast(mean, mean_interval(mean, sd, len(shared)), len(shared))


def _welch(ours: list[float], base: list[float]) -> Contrast:
    difference = float(np.mean(ours) - np.mean(base))
    if not (_spread(ours) or _spread(base)):
        return Contrast(difference, None, None)
    found = stats.ttest_ind(ours, base, equal_var=False).confidence_interval(CONFIDENCE)
    return Contrast(difference, (float(found.low), float(found.high)), None)


def _spread(values: Sequence[float]) -> bool:
    return max(values) - min(values) > _ROUNDING
