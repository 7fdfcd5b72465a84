"""What tar archives are read through: their headers tell sizes, and tarfile makes room for as much as they say."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from softshare.files import plain_file

# A name or the attributes of a member, where its header tells that they follow it.
_MOST_OF_A_HEADER = 1 << 20
_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


class BoundedReader:
    """A file of which no more is read at once than a header may have, unless it is said beforehand.

    Args:
        file: To read from.
        most: Bytes to which it is read or skipped at most; None = to its end.
    """

    def __init__(self, file: IO[bytes], most: int | None = None) -> None:
        self._file, self._most, self._at_once = file, most, _MOST_OF_A_HEADER

    @contextlib.contextmanager
    def allowing(self, size: int) -> Iterator[None]:
        """Lets so many bytes be read at once."""
        self._at_once = max(size, _MOST_OF_A_HEADER)
        try:
            yield
        finally:
            self._at_once = _MOST_OF_A_HEADER

    def read(self, size: int = -1) -> bytes:
        """Reads.

        Raises:
            tarfile.ReadError: More than is allowed is asked for, or what is read lies too far off.
        """
        if not 0 <= size <= self._at_once:
            raise tarfile.ReadError(f"a header of {size:,} bytes" if size >= 0 else "a header without a size")
        self._require_within(self._file.tell())
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Goes to a byte.

        Raises:
            tarfile.ReadError: It lies too far off.
        """
        self._require_within(offset)
        return self._file.seek(offset, whence)

    def _require_within(self, offset: int) -> None:
        if self._most is not None and offset > self._most:
            raise tarfile.ReadError(f"more than {self._most:,} bytes, unpacked")

    def tell(self) -> int:
        """The byte that it stands at."""
        return self._file.tell()

    def seekable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def is_compressed(path: Path) -> bool:
    """Whether a file begins as one compressed by gzip, bzip2 or xz does.

    Raises:
        OSError: It cannot be read, or is not a regular file.
    """
    return _opener(path) is not None


def open_decompressed(path: Path) -> IO[bytes]:
    """Opens a file, decompressed if it is compressed.

    Raises:
        OSError: It cannot be read, or is not a regular file.
    """
    return (_opener(path) or open)(path, "rb")


def _opener(path: Path) -> Any:
    with plain_file(path).open("rb") as file:
        head = file.read(6)
    return next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
