"""Datasets by name, written as FFCV's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softshare.data.beton_images import PhotographImages, PhotographSettings, PixelImages
from softshare.data.beton_writer import Content, write_beton
from softshare.data.images import load_images
from softshare.data.photographs import PhotographSet
from softshare.errors import require_positive
from softshare.files import require_writable


def write_images(
    name: str, source: Path | None, out: Path, *, cache: Path | None, limit: float, progress: bool = True
) -> dict[str, Any]:
    """Writes a dataset of images that fit into memory.

    Args:
        name: Name of the dataset.
        source: Where it lies, as of `load_images`.
        out: The file to write.
        cache: Folder in which decoded images are kept.
        limit: Seconds that writing may take to get on.
        progress: Whether to show a progress bar on a terminal.

    Returns:
        What `<file>.json` tells.

    Raises:
        UserError: The dataset cannot be read, or the file not be written.
    """
    require_positive(limit, "time-limit")
    require_writable(out.parent)
    images = load_images(name, source, cache=cache)
    content = Content(
        dataset=name,
        fingerprint=images.fingerprint,
        classes=images.classes,
        train=_pixels(images.train_images),
        test=_pixels(images.test_images),
        labels=torch.cat([images.train_labels, images.test_labels]).numpy(),
    )
    return write_beton(out, content, limit=limit, progress=progress)


def write_photographs(
    photographs: PhotographSet,
    out: Path,
    how: PhotographSettings,
    *,
    limit: float,
    threads: int,
    progress: bool = True,
) -> dict[str, Any]:
    """Writes a dataset of photographs.

    Args:
        photographs: The dataset.
        out: The file to write.
        how: How photographs are stored.
        limit: Seconds that writing may take to get on.
        threads: Threads that decode and encode.
        progress: Whether to show a progress bar on a terminal.

    Returns:
        What `<file>.json` tells.

    Raises:
        UserError: A photograph cannot be decoded, or the file not be written.
    """
    require_positive(limit, "time-limit")
    require_writable(out.parent)
    train, test = photographs.train, photographs.validation
    content = Content(
        dataset=photographs.name,
        fingerprint=photographs.fingerprint,
        classes=photographs.classes,
        train=PhotographImages(len(train), train.read, train.paths, how),
        test=PhotographImages(len(test), test.read, test.paths, how),
        labels=torch.cat([train.labels, test.labels]).numpy(),
    )
    return write_beton(out, content, limit=limit, threads=threads, progress=progress)


def _pixels(images: Tensor) -> PixelImages:
    return PixelImages(images.permute(0, 2, 3, 1).contiguous().numpy())
