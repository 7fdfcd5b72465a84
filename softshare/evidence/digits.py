"""The digits of a computed number on which processors agree: with others a page built anew would not be the same."""

from __future__ import annotations

from typing import Any

_DIGITS = 10
_NOTHING = 1e-14


def agreed(value: Any) -> Any:
    """Numbers in plain values, such as JSON holds, to ten significant digits; below 1e-14, which is rounding, as 0.

    Sums and matrix products are added up in another order on another processor, so that the last digits are its own.

    Args:
        value: A number, text, None, or lists and dicts of such; what is no float stays as it is.
    """
    if isinstance(value, dict):
        return {key: agreed(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [agreed(each) for each in value]
    if not isinstance(value, float):
        return value
    return 0.0 if abs(value) < _NOTHING else float(f"{value:.{_DIGITS}g}")
