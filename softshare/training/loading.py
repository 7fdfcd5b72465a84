"""From a run's dataset and recipe to its loaders: what is trained on, tested on, and held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from softshare.data.augment import Augmentation
from softshare.data.images import ImageSet
from softshare.data.loaders import WHOLE, Loader, Part, TensorLoader, split_validation
from softshare.data.photograph_loader import PhotographLoader
from softshare.data.photographs import PhotographSet
from softshare.training.job import Job
from softshare.training.photograph_recipe import PhotographRecipe
from softshare.training.recipe import Classification, Recipe

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


def make_loaders(job: Job[Any], images: Images) -> Loaders:
    """Makes the loaders of a run, on its device, channels last."""
    make = _Loading(job.recipe, images, job.device, job.workers, job.processes.part)
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

    def training(self, chosen: Tensor, seed: int, shuffle: bool = True) -> Loader:
        """Training images, augmented."""
        batch_size, recipe, images = self.recipe.batch_size, self.recipe, self.images
        if isinstance(images, PhotographSet):
            return self._photographs("train", chosen, batch_size, seed=seed, shuffle=shuffle)
        assert isinstance(recipe, Recipe)
        augmentation = Augmentation(images.flip, images.pad, recipe.padding, recipe.cutout)
        return self._tensors("train", chosen, batch_size, augmentation=augmentation, seed=seed, shuffle=shuffle)

    def in_order(self, split: str, chosen: Tensor | None = None) -> Loader:
        """Images of a split as they are."""
        if isinstance(self.images, PhotographSet):
            assert isinstance(self.recipe, PhotographRecipe)
            return self._photographs(split, chosen, _PHOTOGRAPHS_A_BATCH, resize=self.recipe.resize)
        return self._tensors(split, chosen, EVALUATION_BATCH)

    def _photographs(self, split: str, chosen: Tensor | None, batch_size: int, **more: Any) -> PhotographLoader:
        assert isinstance(self.images, PhotographSet) and isinstance(self.recipe, PhotographRecipe)
        photographs = self.images.train if split == "train" else self.images.validation
        if chosen is not None:
            photographs = photographs.select(chosen.numpy())
        where: dict[str, Any] = {"device": self.device, "workers": self.workers, "part": self.part}
        augmentation = self.recipe.augmentation
        return PhotographLoader(photographs, batch_size=batch_size, augmentation=augmentation, **where, **more)

    def _tensors(self, split: str, chosen: Tensor | None, batch_size: int, **more: Any) -> TensorLoader:
        assert isinstance(self.images, ImageSet)
        images, labels = self.images.test_images, self.images.test_labels
        if split == "train":
            images, labels = self.images.train_images, self.images.train_labels
        if chosen is not None:
            images, labels = images[chosen], labels[chosen]
        constants: dict[str, Any] = {"mean": self.images.mean, "std": self.images.std}
        where: dict[str, Any] = {"device": self.device, "channels_last": True, "part": self.part}
        return TensorLoader(images, labels, batch_size=batch_size, **constants, **where, **more)
