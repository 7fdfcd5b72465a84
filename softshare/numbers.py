"""Numbers as a person types them: plain digits, for Python itself also takes 1_0 and the digits of every script."""

from __future__ import annotations

import re


def whole_number(text: str) -> int:
    """A whole number, with a sign or without.

    Raises:
        ValueError: It is none.
    """
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ValueError(f"{text!r:.40} is no whole number")
    return int(text)


def decimal_number(text: str) -> float:
    """A number as `float` reads it, also `nan` and `inf`.

    Raises:
        ValueError: It is none.
    """
    if not text.isascii() or "_" in text:
        raise ValueError(f"{text!r:.40} is no number")
    return float(text)
