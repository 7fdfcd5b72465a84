"""From a run's dataset and recipe to its loaders: what is trained on, tested on, and held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softshare.data.augment import Augmentation
from softshare.data.beton import read_beton
from softshare.data.ffcv_file import FfcvFile, ffcv_is_installed, require_ffcv
from softshare.data.ffcv_loader import FfcvLoader
from softshare.data.images import DEFAULT_FOLDER, ImageSet
from softshare.data.loaders import Loader, TensorLoader, split_validation
from softshare.data.worker_loader import WorkerLoader
from softshare.errors import UserError, did_you_mean
from softshare.training.job import Job
from softshare.training.recipe import Recipe

LOADERS = ("tensor", "torchvision", "ffcv")
EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Loaders:
    """The loaders of a run on images.

    Attributes:
        train: Shuffled and augmented.
        test: In order.
        validation: The images held out, in order, if the recipe holds any out.
        held_out: Their indices in the training set.
    """

    train: Loader
    test: Loader
    validation: Loader | None
    held_out: list[int]


def default_beton(dataset: str) -> Path:
    """Where FFCV's file of a dataset lies if nothing else is said."""
    return DEFAULT_FOLDER / f"{dataset}.beton"


def resolve_loader(name: str, device: torch.device, beton: Path) -> str:
    """Which loader a run on images in memory takes; every one gives the same bits.

    `auto` takes FFCV on CUDA where it is installed and a file was written for it, else the tensor in memory: FFCV takes
    some 15 s to start, which a run on a CPU does not win back.

    Args:
        name: `auto` or a loader's name.
        device: Where the run computes.
        beton: FFCV's file.

    Raises:
        UserError: An unknown loader, or FFCV, asked for by name, cannot be imported.
    """
    if name == "auto":
        return "ffcv" if device.type == "cuda" and ffcv_is_installed() and beton.is_file() else "tensor"
    if name not in LOADERS:
        raise UserError("unknown loader", key="loader", value=name, remedy=did_you_mean(name, ("auto", *LOADERS)))
    if name == "ffcv":
        require_ffcv()
    return name


def make_loaders(job: Job[Recipe], images: ImageSet) -> Loaders:
    """Makes the loaders of a run, on its device, channels last.

    Raises:
        UserError: FFCV's file is missing, damaged or another dataset's.
    """
    recipe = job.recipe
    make = _maker(job, images)
    kept, held_out = split_validation(len(images.train_labels), recipe.validation, job.seed)
    train = make(
        "train",
        kept,
        batch_size=recipe.batch_size,
        augmentation=Augmentation(images.flip, images.pad, recipe.padding, recipe.cutout),
        seed=job.seed,
        shuffle=True,
    )
    test = make("test", torch.arange(len(images.test_labels)), batch_size=EVALUATION_BATCH)
    validation = make("train", held_out, batch_size=EVALUATION_BATCH) if len(held_out) else None
    return Loaders(train, test, validation, held_out.tolist())


def _maker(job: Job[Recipe], images: ImageSet) -> Callable[..., Loader]:
    """What makes a loader of some images of `train` or `test`, by their numbers."""
    common: dict[str, Any] = {
        "mean": images.mean,
        "std": images.std,
        "device": job.device,
        "channels_last": True,
        "part": job.processes.part,
    }
    if job.loader == "ffcv":
        file = FfcvFile(read_beton(job.beton, images.name, images.fingerprint))
        first = {"train": 0, "test": len(images.train_labels)}
        return lambda split, numbers, **each: FfcvLoader(file, first[split] + numbers.numpy(), **common, **each)

    if job.loader == "torchvision":
        common["workers"] = torch.get_num_threads()
    kind = {"tensor": TensorLoader, "torchvision": WorkerLoader}[job.loader]
    splits = {
        "train": (images.train_images, images.train_labels),
        "test": (images.test_images, images.test_labels),
    }

    def of_memory(split: str, numbers: Tensor, **each: Any) -> Loader:
        pixels, labels = splits[split]
        if len(numbers) < len(labels):  # else no copy of all of them
            pixels, labels = pixels[numbers], labels[numbers]
        return kind(pixels, labels, **common, **each)

    return of_memory
