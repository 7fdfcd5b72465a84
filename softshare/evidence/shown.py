"""Numbers for a reader: a true minus sign, and none before what rounds to zero."""

from __future__ import annotations

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
