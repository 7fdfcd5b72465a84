"""From a run's dataset and recipe to its loaders: what is trained on, tested on, and held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from softshare.data.augment import Augmentation
from softshare.data.images import ImageSet
from softshare.data.loaders import Loader, TensorLoader, split_validation
from softshare.training.job import Job
from softshare.training.recipe import Recipe

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


def make_loaders(job: Job[Recipe], images: ImageSet) -> Loaders:
    """Makes the loaders of a run, on its device, channels last."""
    recipe = job.recipe
    common: dict[str, Any] = {
        "mean": images.mean,
        "std": images.std,
        "device": job.device,
        "channels_last": True,
        "part": job.processes.part,
    }
    kept, held_out = split_validation(len(images.train_labels), recipe.validation, job.seed)
    train = TensorLoader(
        images.train_images[kept],
        images.train_labels[kept],
        batch_size=recipe.batch_size,
        augmentation=Augmentation(images.flip, images.pad, recipe.padding, recipe.cutout),
        seed=job.seed,
        shuffle=True,
        **common,
    )
    common["batch_size"] = EVALUATION_BATCH
    test = TensorLoader(images.test_images, images.test_labels, **common)
    validation = None
    if len(held_out):
        validation = TensorLoader(images.train_images[held_out], images.train_labels[held_out], **common)
    return Loaders(train, test, validation, held_out.tolist())
