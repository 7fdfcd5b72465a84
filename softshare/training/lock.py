"""One process a run folder: a second one would write over what the first trains."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from softshare.errors import UserError
from softshare.files import plain_file, require_writable

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Holds a run folder for this process. The lock ends with the process, however that ends: none is left behind.

    Raises:
        UserError: Another process holds it, or the folder cannot be written.
    """
    made = not folder.exists()
    require_writable(folder)
    if fcntl is None:
        yield
        return
    try:
        with contextlib.suppress(FileNotFoundError):
            plain_file(folder / LOCK)
        file = (folder / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", file=folder / LOCK) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise UserError(
                "is being trained by another process",
                file=folder,
                key="process",
                value=holder,
                remedy="wait, or stop it",
            ) from None
        except OSError:  # a file system without locks
            yield
            return
        file.truncate(0)
        file.write(f"{os.getpid()} on {platform.node()}")
        file.flush()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                (folder / LOCK).unlink()
                if made:
                    folder.rmdir()  # where nothing was written in it
