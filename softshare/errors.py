"""The one error that a person can mend: a line that names the file, the key, the value and the remedy."""

from __future__ import annotations

import difflib
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
        shown = [] if value is _UNSET else [_shorten(repr(value))]
        line = ": ".join([*place, *shown, problem])
        if remedy:
            line += f"; {remedy}"
        super().__init__(" ".join(line.split()))


def did_you_mean(value: object, known: Iterable[str]) -> str:
    """A remedy that names the nearest known word, or all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(str(value), known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def _shorten(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
