"""What ends a command: an error that a person can mend (file, key, value, remedy in one line), or a request to stop."""

from __future__ import annotations

import difflib
import math
import signal
from collections.abc import Iterable
from pathlib import Path

_UNSET = object()


class UserError(Exception):
    """Bad input. The command line prints it as one line and exits with status 2."""

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        key: str | None = None,
        value: object = _UNSET,
        remedy: str | None = None,
    ) -> None:
        place = [str(part) for part in (file, key) if part]
        shown = [] if value is _UNSET else [shorten(repr(value))]
        line = ": ".join([*place, *shown, problem])
        if remedy:
            line += f"; {remedy}"
        super().__init__(" ".join(line.split()))


class Stopped(BaseException):
    """A signal asked the process to stop; no error, so `except Exception` leaves it alone.

    The command line says so in one line and exits with 128 + the signal.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)

    @property
    def line(self) -> str:
        """What the command line says of it."""
        return f"softshare: stopped by {self}; the same command goes on from the last checkpoint"


def require_positive(value: float, key: str) -> None:
    """Refuses what is not above 0, or not finite.

    Raises:
        UserError: It names the key.
    """
    if not 0 < value < math.inf:  # nan is neither
        raise UserError("must be a finite number above 0", key=key, value=value)


def did_you_mean(value: object, known: Iterable[str]) -> str:
    """A remedy that names the nearest known word, or all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(str(value), known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def shorten(text: str, limit: int = 120) -> str:
    """A text cut to a number of characters."""
    return text if len(text) <= limit else text[: limit - 3] + "..."
