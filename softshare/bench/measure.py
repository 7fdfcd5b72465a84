"""Timing that survives a noisy machine: alternating rounds, paired ratios, medians."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One measured number.

    Attributes:
        name: Which bound of `config/bench.yaml` it is held against.
        value: The number.
        unit: Its unit; `ratio` for ratios.
        low: First quartile of the rounds of which the number is the median; no number where it was taken once.
        high: Third quartile.
        rounds: How many there were.
    """

    name: str
    value: float
    unit: str = "ratio"
    low: float = math.nan
    high: float = math.nan
    rounds: int = 1


def median(name: str, values: Sequence[float], unit: str = "ratio") -> Measured:
    """The median of at least two rounds and the quartiles round it."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Measured(name, middle, unit, low, high, len(values))


def alternate(
    functions: Mapping[str, Callable[[], object]], rounds: int, at_least_seconds: float = 0.0
) -> dict[str, list[float]]:
    """Times functions in turn, after one unmeasured round, so that a slow spell of the machine hits all of them.

    The order is turned round at each round: being first or last favours none.

    Args:
        functions: What to time, by name.
        rounds: How often, at least.
        at_least_seconds: How long to go on, where the rounds take less: a ratio near 1 needs many on a noisy machine.

    Returns:
        Seconds of each round, by name.
    """
    for function in functions.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    order = list(functions.items())
    began, done = time.perf_counter(), 0
    while done < rounds or time.perf_counter() - began < at_least_seconds:
        for name, function in order:
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
        order.reverse()
        done += 1
    return seconds


def alternate_fairly(
    make: Mapping[str, Callable[[], Callable[[], object]]], rounds: int, at_least_seconds: float = 0.0
) -> dict[str, list[float]]:
    """As `alternate`, twice: of functions made in the order given, and made anew in the other.

    Where a thing lies in memory depends on what was made before it: so being made first favours none.

    Args:
        make: What makes each function, by name. Those of the first order are freed before the others are made.
        rounds: In each of the two orders, at least.
        at_least_seconds: In each of the two orders.

    Returns:
        Seconds of each round of both, by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in make}
    names = list(make)
    for order in (names, names[::-1]):
        # Made within the call, so that nothing keeps them once it ends.
        taken = alternate({name: make[name]() for name in order}, rounds, at_least_seconds)
        for name in order:
            seconds[name] += taken[name]
    return seconds


def timed(function: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of each of some calls, the first included."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return seconds


def paired_ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """One time over the other, round by round."""
    return [a / b for a, b in zip(above, below, strict=True)]
