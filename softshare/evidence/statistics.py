"""The tests behind a verdict, after the rules fixed before any run. scipy does the reckoning.

Errors are compared between runs: paired by seed where seeds are shared, by Welch's t-test otherwise. "Less" is one
one-sided test; "no worse" is the upper of the two one-sided tests (TOST) with a margin, non-inferiority; "alike" takes
both. Networks on the same images are McNemar's business (`mcnemar.py`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

CONFIDENCE = 0.95

# Errors count whole images: values that differ by less than this differ by rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class TTest:
    """A mean, or the difference of two, and what Student's t tells of it.

    Error and degrees are None where there are too few runs, or where they show no spread at all: with errors that
    count images that happens by chance, and is no certainty. No interval and no p can be told then.

    Attributes:
        difference: The mean, or the one mean less the other.
        error: Its standard error.
        degrees: Degrees of freedom; Welch and Satterthwaite's where two spreads are estimated.
        n: The runs behind each side; the pairs, where they are paired.
        pairs: Pairs behind a paired test; None = Welch's, or a single mean.
    """

    difference: float
    error: float | None
    degrees: float | None
    n: tuple[int, ...]
    pairs: int | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Two-sided 95 % interval of the difference."""
        if self.error is None or self.degrees is None:
            return None
        half = two_sided_quantile(self.degrees) * self.error
        return self.difference - half, self.difference + half

    def p_less(self, than: float = 0.0) -> float | None:
        """One-sided p: small where the difference is less than a value."""
        if self.error is None or self.degrees is None:
            return None
        return float(stats.t.cdf((self.difference - than) / self.error, self.degrees))

    def p_more(self, than: float = 0.0) -> float | None:
        """One-sided p: small where the difference is more than a value."""
        if self.error is None or self.degrees is None:
            return None
        return float(stats.t.sf((self.difference - than) / self.error, self.degrees))

    def p_alike(self, margin: float) -> float | None:
        """TOST: small where the difference is within a margin on either side; the larger of both one-sided p."""
        below, above = self.p_less(margin), self.p_more(-margin)
        return None if below is None or above is None else max(below, above)

    def p_apart(self, margin: float) -> float | None:
        """Small where the difference is beyond the margin on one side: the contrary of `p_alike`."""
        above, below = self.p_more(margin), self.p_less(-margin)
        return None if below is None or above is None else min(below, above)

    @property
    def how(self) -> str:
        """The test in words."""
        if self.pairs is not None:
            return f"paired over {self.pairs} seeds"
        return f"Welch, {self.n[0]} against {self.n[1]} runs" if len(self.n) == 2 else f"{self.n[0]} runs"


@dataclass(frozen=True)
class Summary:
    """What several runs came to.

    Attributes:
        n: How many they are.
        mean: Of them.
        sd: Their standard deviation; None of a single one.
    """

    n: int
    mean: float
    sd: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % t interval of the mean; None where the spread is unknown. Bootstraps are too narrow at n = 5."""
        if self.sd is None:
            return None
        half = two_sided_quantile(self.n - 1) * self.sd / math.sqrt(self.n)
        return self.mean - half, self.mean + half


def summary_of(values: Sequence[float] | np.ndarray) -> Summary:
    """Mean and spread of a value of each run, of one at least."""
    n = len(values)
    return Summary(n, float(np.mean(values)), float(np.std(values, ddof=1)) if n > 1 else None)


def welch(ours: Sequence[float], base: Sequence[float]) -> TTest:
    """Welch's t-test of the difference of two means, spreads unknown and not alike.

    Args:
        ours: A value of each run of the one.
        base: A value of each run of the other.
    """
    difference, n = float(np.mean(ours) - np.mean(base)), (len(ours), len(base))
    if min(n) < 2 or not (has_spread(ours) or has_spread(base)):
        return TTest(difference, None, None, n)
    with warnings.catch_warnings():
        # One side may be all alike: the other's spread carries the test.
        warnings.filterwarnings("ignore", "Precision loss")
        return _told(difference, stats.ttest_ind(ours, base, equal_var=False), n)


def paired(ours: Sequence[float], base: Sequence[float]) -> TTest:
    """Student's t-test of the mean difference of pairs, such as runs of one seed.

    Args:
        ours: A value of each pair's one side.
        base: The other side's, in the same order.

    Raises:
        ValueError: The two are not of one length.
    """
    differences = [a - b for a, b in zip(ours, base, strict=True)]
    difference, n = float(np.mean(differences)), len(differences)
    if n < 2 or not has_spread(differences):
        return TTest(difference, None, None, (n,), n)
    return _told(difference, stats.ttest_rel(ours, base), (n,), n)


def one_sample(values: Sequence[float]) -> TTest:
    """Student's t-test of a mean, such as against a quoted number that is taken as exact."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2 or not has_spread(values):
        return TTest(mean, None, None, (n,))
    return _told(mean, stats.ttest_1samp(values, 0.0), (n,))


def compare(ours: Mapping[int, float], base: Mapping[int, float], fewest: int = 2) -> TTest:
    """Holds the runs of one setting against those of another: runs of one seed saw the same images in the same order.

    Args:
        ours: A value of each run, by seed.
        base: The same of the other setting.
        fewest: Pairs at least; with fewer shared seeds the test is Welch's, where each side has the two runs that it
            needs.
    """
    shared = sorted(ours.keys() & base.keys())
    if len(shared) >= fewest or (shared and min(len(ours), len(base)) < 2):
        return paired([ours[seed] for seed in shared], [base[seed] for seed in shared])
    return welch(list(ours.values()), list(base.values()))


def two_sided_quantile(degrees: float) -> float:
    """Student's t that 95 % lie within."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees))


def change_interval(only_before: int, only_after: int, images: int) -> tuple[float, float]:
    """95 % interval of the change in error between two networks on the same images, in percentage points.

    Wald's interval for the difference of paired shares with half an image added to each of the four cells (Agresti
    and Min, 2005), so that two networks that never differ are not taken for certain to be equal.

    Args:
        only_before: Images that the first alone gets wrong.
        only_after: Images that the second alone gets wrong.
        images: All images, at least 1.
    """
    b, c, n = only_before + 0.5, only_after + 0.5, images + 2.0
    change = (c - b) / n
    half = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt((b + c) / n - change**2) / math.sqrt(n)
    return 100.0 * (change - half), 100.0 * (change + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """P adjusted after Holm (1979): below 5 % in 5 % of cases at most, whichever of the claims is false.

    Args:
        p_values: Of all claims that were tested, in any order.

    Returns:
        The adjusted ones, in the same order, at most 1.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def has_spread(values: Sequence[float]) -> bool:
    """Whether values differ by more than rounding."""
    return max(values) - min(values) > _ROUNDING


def _told(difference: float, found: Any, n: tuple[int, ...], pairs: int | None = None) -> TTest:
    """From scipy's TtestResult, whose interval tells the standard error also where the difference is 0."""
    low, high = found.confidence_interval(CONFIDENCE)
    degrees = float(found.df)
    return TTest(difference, float(high - low) / 2 / two_sided_quantile(degrees), degrees, n, pairs)
