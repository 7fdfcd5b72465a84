"""From a run's dataset and recipe to its loaders: what is trained on, tested on, and held out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softshare.data.augment import Augmentation
from softshare.data.beton import read_beton
from softshare.data.ffcv_file import FfcvFile, ffcv_is_installed, require_ffcv
from softshare.data.ffcv_loader import FfcvLoader
from softshare.data.ffcv_photographs import FfcvPhotographLoader
from softshare.data.images import DEFAULT_FOLDER, ImageSet
from softshare.data.loaders import WHOLE, Loader, Part, TensorLoader, split_validation
from softshare.data.photograph_loader import PhotographLoader
from softshare.data.photographs import PhotographSet
from softshare.data.worker_loader import WorkerLoader
from softshare.errors import UserError, did_you_mean
from softshare.training.job import Job
from softshare.training.photograph_recipe import PhotographRecipe
from softshare.training.recipe import Classification, Recipe

LOADERS = ("tensor", "torchvision", "ffcv")
EVALUATION_BATCH = 500
# Photographs are some 50 times as large as CIFAR's images.
_PHOTOGRAPHS_A_BATCH = 128

Images = ImageSet | PhotographSet


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


def resolve_photograph_loader(name: str, beton: Path) -> str:
    """Which loader a run on photographs takes; FFCV's pixels differ from torchvision's.

    `auto` takes FFCV where it is installed and a file was written for it: photographs lie in no memory, and it decodes
    them the fastest (`softshare bench --only loading.photographs`).

    Args:
        name: `auto` or a loader's name.
        beton: FFCV's file.

    Raises:
        UserError: A loader of images in memory, or FFCV, asked for by name, cannot be imported.
    """
    if name == "auto":
        return "ffcv" if ffcv_is_installed() and beton.is_file() else "torchvision"
    if name not in ("ffcv", "torchvision"):
        remedy = "auto, torchvision or ffcv"
        raise UserError("photographs are not loaded so", key="loader", value=name, remedy=remedy)
    if name == "ffcv":
        require_ffcv()
    return name


def make_loaders(job: Job[Any], images: Images) -> Loaders:
    """Makes the loaders of a run, on its device, channels last.

    Raises:
        UserError: FFCV's file is missing, damaged or another dataset's.
    """
    make = _Loading(job.recipe, images, job.device, job.workers, job.processes.part, job.loader)
    if job.loader == "ffcv":
        crop = job.recipe.crop if isinstance(job.recipe, PhotographRecipe) else None
        make = replace(make, file=FfcvFile(read_beton(job.beton, job.dataset, images.fingerprint), crop))
    kept, held_out = split_validation(count_of(images, "train"), job.recipe.validation, job.seed)
    validation = make.in_order("train", held_out) if len(held_out) else None
    return Loaders(make.training(kept, job.seed), make.in_order("test"), validation, held_out.tolist())


def make_test_loader(recipe: Classification, images: Images, device: torch.device, workers: int = 0) -> Loader:
    """The test images, in order."""
    return _Loading(recipe, images, device, workers).in_order("test")


def make_statistics_loader(
    recipe: Classification, images: Images, chosen: Tensor, device: torch.device, workers: int = 0
) -> Loader:
    """Some training images, int64 [N], in that order, augmented as in training."""
    return _Loading(recipe, images, device, workers).training(chosen, 0, shuffle=False)


def count_of(images: Images, split: str) -> int:
    """Images in `train` or `test`."""
    if isinstance(images, PhotographSet):
        return len(images.train if split == "train" else images.validation)
    return len(images.train_labels if split == "train" else images.test_labels)


@dataclass(frozen=True)
class _Loading:
    """Makes loaders of a set's parts; one kind for images in memory, one for photographs on disk."""

    recipe: Classification
    images: Images
    device: torch.device
    workers: int
    part: Part = WHOLE
    loader: str = "tensor"
    file: FfcvFile | None = None  # FFCV's, where it loads

    def training(self, chosen: Tensor, seed: int, shuffle: bool = True) -> Loader:
        """Training images, augmented."""
        batch_size, recipe, images = self.recipe.batch_size, self.recipe, self.images
        if isinstance(images, PhotographSet):
            return self._photographs("train", chosen, batch_size, seed=seed, shuffle=shuffle)
        assert isinstance(recipe, Recipe)
        augmentation = Augmentation(images.flip, images.pad, recipe.padding, recipe.cutout)
        return self._in_memory("train", chosen, batch_size, augmentation=augmentation, seed=seed, shuffle=shuffle)

    def in_order(self, split: str, chosen: Tensor | None = None) -> Loader:
        """Images of a split as they are."""
        if isinstance(self.images, PhotographSet):
            assert isinstance(self.recipe, PhotographRecipe)
            # From the original files, whatever loads what is trained on: error is that of the paper's protocol.
            return self._photographs(split, chosen, _PHOTOGRAPHS_A_BATCH, resize=self.recipe.resize)
        return self._in_memory(split, chosen, EVALUATION_BATCH)

    def _photographs(self, split: str, chosen: Tensor | None, batch_size: int, **more: Any) -> PhotographLoader:
        assert isinstance(self.images, PhotographSet) and isinstance(self.recipe, PhotographRecipe)
        photographs = self.images.train if split == "train" else self.images.validation
        if chosen is not None:
            photographs = photographs.select(chosen.numpy())
        where: dict[str, Any] = {"device": self.device, "part": self.part}
        settings = {"batch_size": batch_size, "augmentation": self.recipe.augmentation, **where, **more}
        if self.file is not None and more.get("resize") is None:
            assert chosen is not None  # the file holds those of training first
            return FfcvPhotographLoader(self.file, chosen.numpy(), photographs, **settings)
        return PhotographLoader(photographs.on_this_node(), workers=self.workers, **settings)

    def _in_memory(self, split: str, chosen: Tensor | None, batch_size: int, **more: Any) -> Loader:
        assert isinstance(self.images, ImageSet)
        images, labels = self.images.test_images, self.images.test_labels
        if split == "train":
            images, labels = self.images.train_images, self.images.train_labels
        constants: dict[str, Any] = {"mean": self.images.mean, "std": self.images.std}
        where: dict[str, Any] = {"device": self.device, "channels_last": True, "part": self.part}
        settings = {"batch_size": batch_size, **constants, **where, **more}
        if self.file is not None:
            numbers = torch.arange(len(labels)) if chosen is None else chosen
            first = 0 if split == "train" else len(self.images.train_labels)  # the file holds one after the other
            return FfcvLoader(self.file, first + numbers.numpy(), **settings)
        if chosen is not None and not torch.equal(chosen, torch.arange(len(labels))):  # all of them: no copy
            images, labels = images[chosen], labels[chosen]
        if self.loader == "torchvision":
            return WorkerLoader(images, labels, workers=torch.get_num_threads(), **settings)
        return TensorLoader(images, labels, **settings)
