"""A dataset small enough to train on in a second, and jobs on it."""

import dataclasses

import numpy as np
import pytest
import torch

from softshare.data.beton_images import PixelImages
from softshare.data.beton_writer import Content, write_beton
from softshare.data.images import ImageSet
from softshare.recipes import load_recipe
from softshare.training.engine import Job
from softshare.training.recipe import Recipe


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)

    def drawn(count):
        labels = torch.arange(count) % 6
        pixels = torch.randint(0, 100, (count, 3, 8, 8), generator=generator) + 25 * labels[:, None, None, None]
        return pixels.to(torch.uint8), labels

    train, test = drawn(90), drawn(30)
    return ImageSet(
        name="digits",
        train_images=train[0],
        train_labels=train[1],
        test_images=test[0],
        test_labels=test[1],
        classes=tuple("abcdef"),
        source="drawn",
        fingerprint="0" * 64,
        mean=(0.4, 0.4, 0.4),
        std=(0.2, 0.2, 0.2),
        flip=True,
        pad=1,
    )


@pytest.fixture
def write():
    """Writes images as FFCV's file and gives its place."""

    def written(path, images):
        stored = [
            PixelImages(np.ascontiguousarray(part.permute(0, 2, 3, 1).numpy()), 1 << 21)
            for part in (images.train_images, images.test_images)
        ]
        labels = torch.cat([images.train_labels, images.test_labels]).numpy()
        write_beton(path, Content(images.name, images.fingerprint, images.classes, *stored, labels), progress=False)
        return path

    return written


@pytest.fixture
def recipe():
    settings = load_recipe("cifar") | {"epochs": 3, "batch_size": 32, "dropout": 0.3, "cutout": 3}
    return Recipe.from_settings(settings)


@pytest.fixture
def job(recipe):
    return Job("digits", "swrn-16-1-1", "cifar", recipe, seed=0, device=torch.device("cpu"), precision="fp32")


@pytest.fixture
def with_settings(job):
    def changed(**settings):
        return dataclasses.replace(job, recipe=dataclasses.replace(job.recipe, **settings))

    return changed
