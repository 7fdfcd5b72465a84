"""Numbers and lists for a reader: a true minus sign, and none before what rounds to zero; seeds as ranges."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable

# Where there is no number.
DASH = "\N{EN DASH}"


def number(value: float, decimals: int = 2) -> str:
    """A number with a sign only where it is below zero."""
    return signed(value, decimals).removeprefix("+")


def signed(value: float, decimals: int) -> str:
    """A difference: with a sign on either side of zero, and none at it."""
    text = f"{value:+.{decimals}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def mean_and_sd(mean: float, sd: float | None, decimals: int) -> str:
    """A mean, and beside it the standard deviation where one is known."""
    return f"{mean:.{decimals}f}" if sd is None else f"{mean:.{decimals}f} ± {sd:.{decimals}f}"


def in_words(names: Iterable[str]) -> str:
    """Such as `a`, `a and b`, `a, b and c`."""
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last


def seeds_in_words(seeds: Collection[int]) -> str:
    """Such as `seed 3`, `seeds 1 to 9`, `seeds 0, 2 and 5 to 7`."""
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    # Two are no range.
    parts = itertools.chain.from_iterable(map(str, run) if len(run) < 3 else [f"{run[0]} to {run[-1]}"] for run in runs)
    return f"seed{'s' if len(seeds) > 1 else ''} {in_words(parts)}"


def by_reason(left_out: Iterable[tuple[int, str]]) -> list[str]:
    """Seeds and why each is left out, those of one reason together: such as `seeds 1 to 9: not run`."""
    seeds: dict[str, list[int]] = {}
    for seed, reason in left_out:
        seeds.setdefault(reason, []).append(seed)
    return [f"{seeds_in_words(each)}: {reason}" for reason, each in seeds.items()]
