"""One process a run folder: a second one would write over what the first trains."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from softshare.files import require_writable
from softshare.lock import locked

LOCK = ".lock"


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Holds a run folder for this process.

    Raises:
        UserError: Another process holds it, or the folder cannot be written.
    """
    made = not folder.exists()
    require_writable(folder)
    try:
        with locked(folder / LOCK, folder, "trained"):
            yield
    finally:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()  # where nothing was written in it
