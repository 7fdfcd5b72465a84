"""Decoded images kept on disk, so that a set of 60,000 image files is decoded once.

A file that is truncated or whose pixels do not have the fingerprint they were kept with counts as absent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL
import safetensors
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from softshare.data.scratch import local_copy
from softshare.data.sources import Source
from softshare.data.splits import Splits
from softshare.files import LARGEST_WEIGHTS, plain_file, written_whole

# Raise it when the same files would be decoded to other tensors.
_VERSION = 1
_PARTS = ("train_images", "train_labels", "test_images", "test_labels")


def cache_file(folder: Path, name: str, source: Source) -> Path:
    """The file in which a source's images are kept: another one as soon as one of its files changes."""
    stamps = []
    for path in source.files():
        stat = path.stat()
        stamps.append((path.parent.parent.name, path.parent.name, path.name, stat.st_size, stat.st_mtime_ns))
    return cache_file_of(folder, name, [PIL.__version__, source.form, str(source.path.resolve()), stamps])


def cache_file_of(folder: Path, name: str, made_from: list[Any]) -> Path:
    """The file in which images are kept that follow from some plain values alone."""
    key = [_VERSION, *made_from]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return folder / f"{name}-{digest[:16]}.safetensors"


def read_cache(file: Path) -> tuple[Splits, str] | None:
    """The images in a file and the line on their source; None if they are not there as they were kept."""
    try:
        # Once: what is opened twice may be replaced in between.
        content = plain_file(file, LARGEST_WEIGHTS).read_bytes()
        splits = Splits(**load_safetensors(content))
        kept = _metadata(content)
        whole = all(getattr(splits, part).dtype == _dtype(part) for part in _PARTS)
        return (splits, kept["source"]) if whole and splits.fingerprint() == kept["fingerprint"] else None
    except (OSError, KeyError, ValueError, TypeError, safetensors.SafetensorError):
        return None


def kept_or_made(file: Path, make: Callable[[], tuple[Splits, str]]) -> tuple[Splits, str]:
    """Images and the line on their source, from a file if they are kept there; else they are made and kept.

    Raises:
        UserError: They cannot be made, or the folder cannot be written.
    """
    if kept := read_cache(local_copy(file)):
        return kept
    splits, line = make()
    write_cache(file, splits, line)
    return splits, line


def write_cache(file: Path, splits: Splits, source: str) -> None:
    """Keeps images in a file, whole or not at all; processes that do so at once do each other no harm.

    Raises:
        UserError: The folder cannot be written.
    """
    tensors = {part: getattr(splits, part) for part in _PARTS}
    kept = {"source": source, "fingerprint": splits.fingerprint()}
    with written_whole(file) as temporary:
        temporary.write_bytes(save_safetensors(tensors, kept))


def _dtype(part: str) -> torch.dtype:
    return torch.uint8 if part.endswith("images") else torch.int64


def _metadata(content: bytes) -> dict[str, str]:
    """The metadata of a safetensors file: 8 bytes give the length of the JSON header that follows them."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]
