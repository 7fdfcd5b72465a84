"""CIFAR as its authors publish it: files that hold one pickled dictionary of pixels and labels each."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softshare.data.archives import Files
from softshare.data.catalogue import Facts
from softshare.data.safe_pickle import read_pickle
from softshare.data.splits import Splits
from softshare.errors import UserError


def is_batch(name: str, facts: Facts) -> bool:
    """Whether a path inside a source is one of the dataset's files, at the top or one folder below."""
    path = PurePosixPath(name)
    return len(path.parts) <= 2 and path.name in (*facts.batches.train, *facts.batches.test)


def decode_batches(files: Files, facts: Facts) -> Splits:
    """Reads all batches of a dataset.

    Raises:
        UserError: A file is missing, damaged or of another dataset, or there are too few or too many images.
    """
    folders = sorted({PurePosixPath(name).parent for name in files.contents})
    if len(folders) > 1:
        places = " and ".join(repr(str(folder)) for folder in folders)
        raise UserError(f"holds the dataset more than once, in {places}", file=files.source, remedy="keep one")
    parts: list[Tensor] = []
    for split, names in (("train", facts.batches.train), ("test", facts.batches.test)):
        read = [_batch(files, str(folders[0] / name), facts) for name in names]
        images, labels = (torch.cat(tensors) for tensors in zip(*read, strict=True))
        counts = torch.bincount(labels, minlength=len(facts.classes)).tolist()
        facts.check_counts(split, counts, files.source)
        parts += [images, labels]
    return Splits(*parts)


def _batch(files: Files, name: str, facts: Facts) -> tuple[Tensor, Tensor]:
    where = files.where(name)
    if name not in files.contents:
        wanted = ", ".join((*facts.batches.train, *facts.batches.test))
        raise UserError("no such file", file=where, remedy=f"the dataset is made of {wanted}")
    content = read_pickle(files.contents[name], where)
    pixels = _pixels(content.get("data"), where, facts.side)
    labels = _labels(content.get(facts.batches.labels), where, facts)
    if len(pixels) != len(labels):
        raise UserError(f"has {len(pixels):,} images but {len(labels):,} labels", file=where)
    return pixels, labels


def _pixels(data: Any, where: str, side: int) -> Tensor:
    columns = 3 * side * side
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != columns:
        found = f"{data.dtype} {list(data.shape)}" if isinstance(data, np.ndarray) else type(data).__name__
        raise UserError(f"must be bytes of [images, {columns}], is {found}", file=where, key="data")
    return torch.from_numpy(data.copy()).view(-1, 3, side, side)


def _labels(labels: Any, where: str, facts: Facts) -> Tensor:
    key = facts.batches.labels
    if isinstance(labels, np.ndarray) and labels.ndim == 1:
        labels = labels.tolist()
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise UserError("must be a list of whole numbers", file=where, key=key, remedy="is it another dataset's?")
    for label in labels:
        if not 0 <= label < len(facts.classes):
            raise UserError("unknown label", file=where, key=key, value=label, remedy=f"0 to {len(facts.classes) - 1}")
    return torch.tensor(labels, dtype=torch.int64)
