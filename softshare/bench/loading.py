"""What data costs a training step: order, augmentation and normalisation of a batch."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import torch

from softshare.bench.measure import Measured, alternate
from softshare.bench.steps import training_step
from softshare.data.augment import Augmentation
from softshare.data.loaders import TensorLoader

_BATCH = 128


def bench_loading(name: str, rounds: int) -> Iterator[Measured]:
    """Loading and augmenting a batch of 128 CIFAR-sized images, over a step of wrn-28-2 on it."""
    count = 50 * _BATCH
    loader = TensorLoader(
        torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8),
        torch.randint(10, (count,)),
        batch_size=_BATCH,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        augmentation=Augmentation(flip=True, pad=4, padding="zero", cutout=16),
        shuffle=True,
        channels_last=True,
    )

    def load() -> None:
        for _ in loader.epoch(0):
            pass

    seconds = alternate({"load": load, "step": training_step("wrn-28-2", _BATCH)}, rounds)
    yield Measured(name, statistics.median(seconds["load"]) / 50 / statistics.median(seconds["step"]))
