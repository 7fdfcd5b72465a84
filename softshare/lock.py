"""One process at a time at what two would spoil: a run's folder, a published scale."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from softshare.errors import UserError

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def locked(lock: Path, folder: Path, busy: str) -> Iterator[None]:
    """Holds a lock for this process. It ends with the process, however that ends: none is left behind.

    Args:
        lock: A file that tells who holds it; removed at the end.
        folder: What is held, for a message.
        busy: What the other process does, for a message.

    Raises:
        UserError: Another process holds it, or the file cannot be written.
    """
    if fcntl is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(_opened(lock))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have removed it since it was opened, and a third have made it anew.
            while not _is_at(file, lock):
                file = stack.enter_context(_opened(lock))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise UserError(
                f"is being {busy} by another process",
                file=folder,
                key="process",
                value=holder,
                remedy="wait, or stop it",
            ) from None
        except OSError:  # a file system without locks
            yield
            return
        try:
            _write_holder(file, lock)
            yield
        finally:
            with contextlib.suppress(OSError):
                lock.unlink()


def _write_holder(file: TextIO, lock: Path) -> None:
    try:
        file.truncate(0)
        # Unbuffered: what a full disk refuses would be tried again at closing, and fail there without its name.
        os.write(file.fileno(), f"{os.getpid()} on {platform.node()}".encode())
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", file=lock, remedy="check the disk") from error


def _opened(lock: Path) -> TextIO:
    """Opens a lock's file, or makes it: a plain one of this name alone, for all that it holds is replaced."""
    try:
        file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            os.close(file)
            raise OSError(errno.EINVAL, "is not a regular file of its own")
        return os.fdopen(file, "a+", encoding="utf-8")
    except OSError as error:
        why = "is a link" if error.errno == errno.ELOOP else error.strerror
        raise UserError(f"cannot be written ({why})", file=lock, remedy="delete it if no process runs here") from error


def _is_at(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False
