"""Photographs on disk: what a split and a set of them are. They stay encoded, for a set may not fit into memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
import torch
from torch import Tensor

from softshare.data.photograph_files import Store, TarStore
from softshare.errors import UserError

# So many of each split have their bytes in the fingerprint, evenly spread.
_HASHED_WHOLE = 1_000


@dataclass(frozen=True, eq=False)
class Photographs:
    """One split, sorted by label and then by file name, however it is packed.

    Attributes:
        paths: Path of each inside its source, such as `train/n01440764/n01440764_18.JPEG`.
        labels: Class of each.
        store: Where their bytes are read from.
    """

    paths: tuple[str, ...]
    labels: Tensor  # int64 [N]
    store: Store

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> bytes:
        """The encoded file of a photograph, such as a JPEG.

        Raises:
            UserError: It cannot be read; its path is told.
        """
        return self.store.read(index)

    def where(self, index: int) -> str:
        """How a photograph is called in a message."""
        return self.store.where(index)

    def select(self, indices: Sequence[int] | np.ndarray) -> Photographs:
        """Those at some indices, in that order."""
        chosen = np.asarray(indices, np.int64)
        paths = tuple(self.paths[index] for index in chosen)
        return Photographs(paths, self.labels[torch.from_numpy(chosen)], self.store.select(chosen))

    def on_this_node(self) -> Photographs:
        """The same, out of the node's own copy of a tar archive; folders of photographs are read where they lie."""
        return replace(self, store=self.store.on_this_node()) if isinstance(self.store, TarStore) else self

    def spread(self, count: int) -> Photographs:
        """`count` of them, evenly spread over the classes, or all if there are no more."""
        return self if count >= len(self) else self.select(_spread(len(self), count))


@dataclass(frozen=True, eq=False)
class PhotographSet:
    """A dataset of photographs.

    Attributes:
        name: Its name, as in `softshare.names.PHOTOGRAPHS`.
        train: What is trained on.
        validation: What error is measured on.
        classes: Names of the classes, in the order of their labels.
        source: Where the photographs came from and in what form, in one line.
        fingerprint: SHA-256, see `fingerprint_of`.
        notes: What sets it apart from the whole set, such as a limit; empty where nothing does.
        damaged: Paths of those left out because they cannot be read or decoded.
    """

    name: str
    train: Photographs
    validation: Photographs
    classes: tuple[str, ...]
    source: str
    fingerprint: str
    notes: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


def fingerprint_of(
    train: Photographs, validation: Photographs, classes: Sequence[str], *, allow_unreadable: bool = False
) -> str:
    """SHA-256 over the classes, and over label, file name and size in bytes of every photograph.

    Reading all of ImageNet for it would take as long as an epoch. Sizes tell nearly as much: photographs that were
    scaled, encoded anew or cut short differ in them. What sizes cannot tell, bytes of the same number, is looked for
    in up to 1,000 files of each split, hashed whole. How the set is packed, and where it lies, is no part of it.

    Args:
        train: What is trained on.
        validation: What error is measured on.
        classes: Names of the classes.
        allow_unreadable: Take into it that a file cannot be read. No set that is used has such a fingerprint.

    Raises:
        UserError: A file cannot be read.
    """
    digest = hashlib.sha256("\n".join(classes).encode())
    for split in (train, validation):
        digest.update(f"\n{len(split)}\n".encode())
        sizes = split.store.sizes().tolist()
        for row, (path, label, size) in enumerate(zip(split.paths, split.labels.tolist(), sizes, strict=True)):
            if size < 0 and not allow_unreadable:
                size = len(split.read(row))  # which tells why it cannot be
            digest.update(f"{label}/{PurePosixPath(path).name} {size}\n".encode())
        for index in _spread(len(split), _HASHED_WHOLE):
            try:
                digest.update(split.read(int(index)))
            except UserError:
                if not allow_unreadable:
                    raise
                digest.update(b"unreadable\n")
    return digest.hexdigest()


def _spread(count: int, wanted: int) -> np.ndarray:
    """Up to `wanted` indices below `count`, evenly spread."""
    wanted = min(count, wanted)
    return np.arange(wanted, dtype=np.int64) * count // max(wanted, 1)
