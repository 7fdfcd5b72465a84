"""Datasets of images by name, in memory: CIFAR from wherever it lies, and the digits of scikit-learn."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from softshare.data.catalogue import FACTS
from softshare.data.image_cache import cache_file, cache_file_of, kept_or_made
from softshare.data.sources import find_source
from softshare.data.splits import Splits, channel_statistics
from softshare.errors import UserError, did_you_mean
from softshare.names import DATASETS

# Where a dataset is looked for, and downloaded to, if no path is given: `results/data/<name>`.
DEFAULT_FOLDER = Path("results/data")

DIGITS_TEST_IMAGES = 360


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A dataset in memory.

    Attributes:
        name: Its name, as in `softshare.names.DATASETS`.
        train_images: Training images.
        train_labels: Their labels.
        test_images: Test images.
        test_labels: Their labels.
        classes: Names of the classes, in the order of their labels.
        source: Where the images came from and in what form, in one line.
        fingerprint: SHA-256 over shapes, pixels and labels.
        mean: Mean of each channel over the training images, in units of [0, 1].
        std: Standard deviation of each channel, likewise.
        flip: Whether a mirrored image is still one of its class.
        pad: By how many pixels an image may be moved: an eighth of its side.
    """

    name: str
    train_images: Tensor  # uint8 [N, 3, H, W]
    train_labels: Tensor  # int64 [N]
    test_images: Tensor  # uint8 [M, 3, H, W]
    test_labels: Tensor  # int64 [M]
    classes: tuple[str, ...]
    source: str
    fingerprint: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    flip: bool
    pad: int


def load_images(name: str, path: str | Path | None = None, *, cache: Path | None = None) -> ImageSet:
    """Loads a dataset.

    CIFAR is read from the python batches of its authors or from class folders of images, in a folder or in a
    tar archive, whichever lies at the path. A folder that holds neither is downloaded into, and so is
    `results/data/<name>` where nothing is said.

    Args:
        name: Name of the dataset.
        path: The archive or folder, see `place_of`; none for the digits.
        cache: Folder in which to keep the decoded images for the next time; None keeps nothing.

    Raises:
        UserError: An unknown name, a path for the digits, or data that are missing, incomplete or damaged; it names
            the file.
    """
    if name not in DATASETS:
        raise UserError("unknown dataset", key="dataset", value=name, remedy=did_you_mean(name, DATASETS))
    if name == "digits":
        if path is not None:
            raise UserError("the digits come with scikit-learn", key="data", value=str(path), remedy="leave --data out")
        classes = tuple(str(digit) for digit in range(10))
        # A mirrored digit is none.
        return _image_set(name, *_read_digits(cache), classes, flip=False)
    if path and not Path(path).exists():
        remedy = "make the folder first to have it downloaded there, or leave --data out"
        raise UserError("no such file or folder", file=path, remedy=remedy)
    splits, source = _read(name, place_of(name, path), cache)
    return _image_set(name, splits, source, FACTS[name].classes, flip=True)


def place_of(name: str, path: str | Path | None) -> Path:
    """Where a dataset is looked for.

    Args:
        name: Name of the dataset.
        path: What was asked for; else it is what the environment variable `SOFTSHARE_DATA_<NAME>` names, else
            `results/data/<name>` below the current folder.

    Raises:
        UserError: The variable is asked, and nothing lies at what it names.
    """
    return Path(path or _named_place(f"SOFTSHARE_DATA_{name.upper()}") or DEFAULT_FOLDER / name)


def _named_place(variable: str) -> str | None:
    """What a variable of the environment names; a cluster's node may not see there what its login node does."""
    place = os.environ.get(variable)
    if place and not Path(place).exists():
        raise UserError(
            f"does not lie on this machine ({platform.node()})",
            key=variable,
            value=place,
            remedy="set it to a path that this machine sees, under data in config.yaml or in the profile's site.yaml",
        )
    return place


def _image_set(name: str, splits: Splits, source: str, classes: tuple[str, ...], flip: bool) -> ImageSet:
    mean, std = channel_statistics(splits.train_images)
    return ImageSet(
        name=name,
        train_images=splits.train_images,
        train_labels=splits.train_labels,
        test_images=splits.test_images,
        test_labels=splits.test_labels,
        classes=classes,
        source=source,
        fingerprint=splits.fingerprint(),
        mean=mean,
        std=std,
        flip=flip,
        pad=splits.train_images.shape[-1] // 8,
    )


def _read(name: str, path: Path, cache: Path | None) -> tuple[Splits, str]:
    source = find_source(name, path)
    return source.read() if cache is None else kept_or_made(cache_file(cache, name, source), source.read)


def _read_digits(cache: Path | None) -> tuple[Splits, str]:
    """scikit-learn's digits; kept, for importing it takes as long as half a run at the quick scale."""
    if cache is None:
        return _digits()
    made_from = ["scikit-learn", importlib.metadata.version("scikit-learn")]
    return kept_or_made(cache_file_of(cache, "digits", made_from), _digits)


def _digits() -> tuple[Splits, str]:
    """The 1,797 real digits, in a fixed split that gives each class its share of the 360 test images."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    greys = (digits.images.astype(np.int64) * 255 + 8) // 16  # 0 to 16 -> 0 to 255, rounded
    images = torch.from_numpy(greys.astype(np.uint8))[:, None].repeat(1, 3, 1, 1)
    labels = torch.from_numpy(digits.target.astype(np.int64))
    train, test = train_test_split(
        np.arange(len(labels)), test_size=DIGITS_TEST_IMAGES, random_state=0, stratify=digits.target
    )
    return Splits(images[train], labels[train], images[test], labels[test]), "8x8 digits of scikit-learn"
