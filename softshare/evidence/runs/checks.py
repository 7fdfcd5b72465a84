"""Checks of what a run folder holds: the first that fails says why the run cannot be used."""

from __future__ import annotations

import math

# Two evaluations of the same weights: two images may change sides by rounding.
_SAME_ERROR, _SAME_IMAGES = 0.05, 2

# Beyond any loss, count or time that a run can have, and small enough to reckon with.
_LARGEST = 1e15


class UnusableError(Exception):
    """Carries the reason, from the check that fails to `read_run`."""


def check_number(
    value: object, name: str, *, low: float = -_LARGEST, high: float = _LARGEST, whole: bool = False
) -> None:
    """Refuses what is no number, not finite, or out of range.

    Raises:
        UnusableError: It says so, by `name`.
    """
    if value is None:
        raise UnusableError(f"{name} is missing")
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise UnusableError(f"{name} is no {'whole ' if whole else ''}number: {value!r:.40}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UnusableError(f"{name} is {value}")
    if not low <= value <= high:
        raise UnusableError(f"{name} is out of range: {value!r:.40}, not from {low:g} to {high:g}")


def same_error(one: float, other: float, images: int) -> bool:
    """Whether two test errors in percent may be of the same weights on the same images."""
    return abs(one - other) <= max(_SAME_ERROR, 100.0 * _SAME_IMAGES / images)
