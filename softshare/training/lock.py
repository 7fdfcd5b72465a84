"""One process a run folder: a second one would write over what the first trains."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from softshare.files import require_writable
from softshare.lock import locked
from softshare.runfiles import LOCK

# The age of a lock tells other machines, which cannot ask for its process, that its run lives.
BEAT_SECONDS = 60.0


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Holds a run folder for this process, and keeps its lock fresh.

    Raises:
        UserError: Another process holds it, or the folder cannot be written.
    """
    made = not folder.exists()
    require_writable(folder)
    try:
        with locked(folder / LOCK, folder, "trained"), _kept_fresh(folder / LOCK):
            yield
    finally:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()  # where nothing was written in it


@contextlib.contextmanager
def _kept_fresh(lock: Path) -> Iterator[None]:
    """Gives a file a new date every so often, whatever this process does meanwhile."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # a full or absent disk is the run's to tell
                os.utime(lock)

    threading.Thread(target=beat, name="softshare-lock", daemon=True).start()
    try:
        yield
    finally:
        ended.set()  # it is not waited for: a file system that hangs would hold the run's end
