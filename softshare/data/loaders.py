"""Batches for training and evaluation: one interface, whatever stands behind it.

A loader has a length, its batches an epoch, and `epoch(number)`, an iterator over normalised images and
labels on the device. An epoch depends on the seed and its number alone, so that a resumed run sees what it
would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from softshare.data.augment import Augmentation, normalise
from softshare.data.seeding import epoch_seed
from softshare.errors import UserError


@dataclass(frozen=True)
class Part:
    """What one of several processes takes of each batch: every `of`-th image, from the `index`-th on.

    So a batch and the order of an epoch are the same, however many processes share them.
    """

    index: int = 0
    of: int = 1

    def within(self, start: int, stop: int) -> slice:
        """Its share of the images from `start` to before `stop`."""
        return slice(start + self.index, stop, self.of)


WHOLE = Part()


class Loader(Protocol):
    """What training and evaluation ask of a loader.

    Attributes:
        count: Images an epoch, of all processes.
        batch_size: Images a batch, of all processes; the last batch of an epoch holds what is left.
        device: Where images and labels are given.
    """

    count: int
    batch_size: int
    device: torch.device

    def __len__(self) -> int:
        """Batches an epoch."""

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch, counted from 0: images float32 [B, C, H, W] and labels int64 [B]."""


class TensorLoader:
    """Batches of images that lie in memory, as bytes, on the device they are trained on.

    Args:
        images: The images, channels first.
        labels: Their labels.
        batch_size: Images a batch; the last batch of an epoch holds what is left.
        mean: Mean of each channel, in units of [0, 1].
        std: Standard deviation of each channel, in the same units.
        augmentation: How the images are varied; None leaves them as they are.
        seed: The run's seed, from which order and augmentation of each epoch follow.
        device: Where images and labels are held and given.
        channels_last: Lay the batches out with the channels innermost.
        shuffle: Draw a new order each epoch.
        part: What this process takes of each batch.

    Raises:
        UserError: The batch size is below 1, there are not as many labels as images, or a training batch holds fewer
            images than there are processes.
    """

    def __init__(
        self,
        images: Tensor,  # uint8 [N, C, H, W]
        labels: Tensor,  # int64 [N]
        *,
        batch_size: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        augmentation: Augmentation | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        channels_last: bool = False,
        shuffle: bool = False,
        part: Part = WHOLE,
    ) -> None:
        if batch_size < 1:
            raise UserError("must be 1 or more", key="batch_size", value=batch_size)
        if len(images) != len(labels):
            raise UserError(f"{len(images)} images with {len(labels)} labels", key="labels")
        if shuffle:
            require_images_for_all(len(images), batch_size, part)
        self.device = torch.device(device)
        self.images = images.to(self.device)
        self.labels = labels.to(self.device)
        self.count = len(images)
        self.batch_size = batch_size
        self.mean = mean
        self.std = std
        self.augmentation = augmentation
        self.seed = seed
        self.channels_last = channels_last
        self.shuffle = shuffle
        self.part = part

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch, counted from 0: images float32 [B, C, H, W] and labels int64 [B]."""
        count = self.count
        order = draws = None
        if self.shuffle:
            order = torch.randperm(count, generator=self._generator(epoch, "order")).to(self.device)
        if self.augmentation:
            height, width = self.images.shape[2:]
            generator = self._generator(epoch, "augmentation")
            draws = self.augmentation.draw(count, (height, width), generator).to(self.device)
        for start in range(0, count, self.batch_size):
            batch = self.part.within(start, min(start + self.batch_size, count))
            if batch.start >= batch.stop:
                continue
            chosen = batch if order is None else order[batch]
            images, labels = self.images[chosen], self.labels[chosen]
            if self.augmentation and draws is not None:
                yield (
                    self.augmentation.apply(images, draws[batch], self.mean, self.std, self.channels_last),
                    labels,
                )
            else:
                yield normalise(images, self.mean, self.std, self.channels_last), labels

    def _generator(self, epoch: int, purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(epoch_seed(self.seed, epoch, purpose))


def require_images_for_all(count: int, batch_size: int, part: Part) -> None:
    """Refuses an epoch in one of whose batches a process would go without images.

    Raises:
        UserError: The last batch, or every one, holds fewer images than there are processes.
    """
    fewest = min(batch_size, count % batch_size or batch_size)
    if fewest < part.of:
        raise UserError(
            f"leaves a batch of {fewest} images to {part.of} processes",
            key="batch_size",
            value=batch_size,
            remedy="choose another, or fewer processes",
        )


def split_validation(labels_or_count: Tensor | int, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Sets a random part of the training images aside, always the same part for a seed.

    Args:
        labels_or_count: The labels of the training images, or how many there are.
        fraction: The part to set aside, from 0 to below 1, rounded to whole images.
        seed: The seed of the split.

    Returns:
        Indices of the images to train on and of those set aside, int64, each sorted; together all images.

    Raises:
        UserError: The fraction is out of range.
    """
    if not 0 <= fraction < 1:
        raise UserError("must be 0 or more and below 1", key="validation fraction", value=fraction)
    count = labels_or_count if isinstance(labels_or_count, int) else len(labels_or_count)
    aside = round(count * fraction)
    if fraction and not 0 < aside < count:
        raise UserError(
            f"holds out {aside} of {count} images", key="validation", value=fraction, remedy="for instance 0.1"
        )
    generator = torch.Generator().manual_seed(epoch_seed(seed, 0, "validation split"))
    shuffled = torch.randperm(count, generator=generator)
    return shuffled[aside:].sort().values, shuffled[:aside].sort().values
