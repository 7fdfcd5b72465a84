"""Where encoded photographs are read from by their number: a folder, a tar archive in place, or memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from softshare.data.scratch import local_copy
from softshare.errors import UserError
from softshare.files import LARGEST_ARRAYS, plain_file


class Store(Protocol):
    """Encoded files, by their number. Worker processes may read from it at once."""

    def read(self, index: int) -> bytes:
        """A file's bytes.

        Raises:
            UserError: It cannot be read.
        """

    def sizes(self) -> np.ndarray:
        """Bytes of each, int64 [N]; -1 where nobody can tell."""

    def where(self, index: int) -> str:
        """How a file is called in a message."""

    def select(self, indices: np.ndarray) -> Store:
        """A store of those at some indices, int64, in that order."""


class FolderStore:
    """Files below a folder."""

    def __init__(self, root: Path, paths: Sequence[str]) -> None:
        self.root = root
        self.paths = list(paths)

    def read(self, index: int) -> bytes:
        """As of `Store`."""
        try:
            return plain_file(self.root / self.paths[index], LARGEST_ARRAYS).read_bytes()
        except OSError as error:
            raise UserError(f"cannot be read ({error.strerror or error})", file=self.where(index)) from error

    def sizes(self) -> np.ndarray:
        """As of `Store`."""
        sizes = np.empty(len(self.paths), np.int64)
        for index in range(len(self.paths)):
            try:
                sizes[index] = (self.root / self.paths[index]).stat().st_size
            except OSError:
                sizes[index] = -1
        return sizes

    def where(self, index: int) -> str:
        """As of `Store`."""
        return str(self.root / self.paths[index])

    def select(self, indices: np.ndarray) -> FolderStore:
        """As of `Store`."""
        return FolderStore(self.root, [self.paths[index] for index in indices])


class TarStore:
    """Members of a tar archive that is not compressed, read where they lie; also members of tars inside it."""

    def __init__(self, archive: Path, paths: Sequence[str], offsets: np.ndarray, sizes: np.ndarray) -> None:
        self.archive = archive
        self.paths = list(paths)
        self.offsets = offsets  # int64 [N], first byte of each in the archive
        self._sizes = sizes  # int64 [N]
        self._file: int | None = None

    def read(self, index: int) -> bytes:
        """As of `Store`."""
        size = int(self._sizes[index])
        try:
            if self._file is None:
                self._file = os.open(self.archive, os.O_RDONLY)
            # Reads at a place of its own: processes that share the open file do each other no harm.
            content = os.pread(self._file, size, int(self.offsets[index]))
        except OSError as error:
            raise UserError(f"cannot be read ({error.strerror or error})", file=self.where(index)) from error
        if len(content) != size:
            raise UserError("ends too early", file=self.where(index), remedy="is the archive truncated?")
        return content

    def sizes(self) -> np.ndarray:
        """As of `Store`."""
        return self._sizes

    def where(self, index: int) -> str:
        """As of `Store`."""
        return f"{self.archive}: {self.paths[index]}"

    def select(self, indices: np.ndarray) -> TarStore:
        """As of `Store`."""
        paths = [self.paths[index] for index in indices]
        return TarStore(self.archive, paths, self.offsets[indices], self._sizes[indices])

    def on_this_node(self) -> TarStore:
        """The same, read from the node's own copy of the archive where it can have one."""
        return TarStore(local_copy(self.archive), self.paths, self.offsets, self._sizes)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None}

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)


class MemoryStore:
    """Files in memory: of a compressed archive, in which nothing can be found without unpacking all before it."""

    def __init__(self, archive: Path, paths: Sequence[str], contents: Sequence[bytes]) -> None:
        self.archive = archive
        self.paths = list(paths)
        self.contents = list(contents)

    def read(self, index: int) -> bytes:
        """As of `Store`."""
        return self.contents[index]

    def sizes(self) -> np.ndarray:
        """As of `Store`."""
        return np.array([len(content) for content in self.contents], np.int64)

    def where(self, index: int) -> str:
        """As of `Store`."""
        return f"{self.archive}: {self.paths[index]}"

    def select(self, indices: np.ndarray) -> MemoryStore:
        """As of `Store`."""
        return MemoryStore(
            self.archive, [self.paths[index] for index in indices], [self.contents[index] for index in indices]
        )
