"""Reading and writing small files safely: whole or not at all, and with errors a person can act on."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import re
import stat
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from softshare.errors import UserError

# Bytes of a file that is read as text; of arrays, unpacked; of weights and checkpoints.
LARGEST_TEXT, LARGEST_ARRAYS, LARGEST_WEIGHTS = 64_000_000, 512_000_000, 8_000_000_000

# Seconds after which what a process was writing is taken for left by a kill: it may be another's, on another machine.
_IDLE = 3600.0


@functools.cache
def project_root() -> Path:
    """Folder that holds `config/`, `reports/` and `workflow/`: the checkout, or the copy inside a wheel."""
    package = Path(__file__).resolve().parent
    checkout = package.parent
    return checkout if (checkout / "config" / "config.yaml").is_file() else package / "_project"


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, flushed to disk and renamed to it only if the block succeeds.

    Raises:
        UserError: The folder cannot be written, or what stands there is not a regular file: a link, a pipe, a device
            or a folder is not replaced.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, path.name, idle=_IDLE)
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            raise UserError("is not a regular file, and is not replaced", file=path, remedy="name another path")
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"cannot be written ({error.strerror or error})",
            file=path,
            remedy="check the folder and the disk",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, name: str | None = None, idle: float = 0.0) -> None:
    """Removes what `written_whole` had not yet renamed when a process was killed.

    Args:
        folder: Where it was to write.
        name: The file it was to write; None = any.
        idle: Seconds in which nobody wrote to what is removed; 0 where no other process can be writing.
    """
    pattern = re.compile(rf"\.{'.+' if name is None else re.escape(name)}\.\d+\.tmp")
    before = time.time() - idle
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in [entry for entry in entries if pattern.fullmatch(entry.name)]:
            found = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(found.st_mode) and (not idle or found.st_mtime < before):
                Path(entry.path).unlink()


def require_writable(folder: Path) -> None:
    """Makes a folder and tries to write to it, so that hours of work do not end at a closed door.

    Raises:
        UserError: It cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror or error})", file=folder) from error


def plain_file(path: Path, most: int | None = None) -> Path:
    """The path itself, refused where a pipe, a socket or a device stands: to read one may never end.

    Args:
        path: To be read.
        most: Bytes that it may have; None = any number.

    Raises:
        OSError: What stands there is neither a regular file nor a folder, or too large, or nothing does.
    """
    found = path.stat()
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    if most is not None and found.st_size > most:
        raise OSError(errno.EFBIG, f"{found.st_size:,} bytes, and {most:,} are the most", str(path))
    return path


def small_zip(path: Path, most: int) -> Path:
    """The path itself, refused where a zip, such as numpy's npz, would unpack to more bytes.

    Raises:
        OSError: It is not a regular file, or too large.
        zipfile.BadZipFile: It is no zip.
    """
    with zipfile.ZipFile(plain_file(path, most)) as packed:
        size = sum(each.file_size for each in packed.infolist())
    if size > most:
        raise OSError(errno.EFBIG, f"{size:,} bytes unpacked, and {most:,} are the most", str(path))
    return path


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Writes JSON whole or not at all; NaN and infinities are refused, for a number nobody can read is none.

    Raises:
        ValueError: `value` holds a NaN or an infinity.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_text(path: Path) -> str:
    """Reads a text file.

    Raises:
        UserError: There is none, it is too large, or no text.
    """
    try:
        return plain_file(path, LARGEST_TEXT).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError("no such file", file=path) from error
    except (OSError, ValueError) as error:  # of bytes that are no text, or a path that can be none
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise UserError(f"cannot be read ({reason})", file=path) from error


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: The file is missing or not JSON.
    """
    try:
        return parse_json(read_text(path))
    except (ValueError, RecursionError) as error:
        remedy = "is it truncated?" if isinstance(error, json.JSONDecodeError) else None
        raise UserError(f"is not JSON ({error})", file=path, remedy=remedy) from error


def parse_json(text: str) -> Any:
    """JSON without a key twice, of which Python takes the last.

    Raises:
        ValueError: It is not JSON, or a key appears twice.
    """
    return json.loads(text, object_pairs_hook=_without_twice)


def _without_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} appears twice")
    return value
