"""Batches for training and evaluation: one interface, whatever stands behind it.

A loader has a length, its batches an epoch, and `epoch(number)`, an iterator over normalised images and
labels on the device. An epoch depends on the seed and its number alone, so that a resumed run sees what it
would have seen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from softshare.data.augment import Augmentation, normalise
from softshare.data.orders import epoch_order, generator
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


class AugmentingLoader(ABC):
    """Batches in an order drawn from the seed and the epoch, augmented whole, on the device.

    What inherits decodes images in that order, by whatever means: so every loader of a set gives the same bits.

    Args:
        count: Images an epoch.
        size: Height and width of an image.
        batch_size: Images a batch; the last batch of an epoch holds what is left.
        mean: Mean of each channel, in units of [0, 1].
        std: Standard deviation of each channel, in the same units.
        augmentation: How the images are varied; None leaves them as they are.
        seed: The run's seed, from which order and augmentation of each epoch follow.
        device: Where images and labels are given.
        channels_last: Lay the batches out with the channels innermost.
        shuffle: Draw a new order each epoch.
        part: What this process takes of each batch.

    Raises:
        UserError: The batch size is below 1, or a training batch holds fewer images than there are processes.
    """

    def __init__(
        self,
        count: int,
        size: tuple[int, int],
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
        if shuffle:
            require_images_for_all(count, batch_size, part)
        self.device = torch.device(device)
        self.count = count
        self.size = size
        self.batch_size = batch_size
        self.mean = mean
        self.std = std
        self.augmentation = augmentation
        self.seed = seed
        self.channels_last = channels_last
        self.shuffle = shuffle
        self.part = part

    @abstractmethod
    def decoded(self, order: Tensor | None, batches: list[slice]) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches as bytes: images uint8 [B, C, H, W] and labels int64 [B], on the device.

        A batch need only be good until the next is asked for.

        Args:
            order: The numbers of all images of the epoch, int64 on the CPU; None: as they lie.
            batches: Places in that order, of each batch; all of one length but the last, which may be shorter.
        """

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch, counted from 0: images float32 [B, C, H, W] and labels int64 [B]."""
        order = draws = None
        if self.shuffle:
            order = epoch_order(self.count, self.seed, epoch)
        if self.augmentation:
            chance = generator(self.seed, epoch, "augmentation")
            draws = self.augmentation.draw(self.count, self.size, chance).to(self.device)
        starts = range(0, self.count, self.batch_size)
        batches = [self.part.within(start, min(start + self.batch_size, self.count)) for start in starts]
        batches = [batch for batch in batches if batch.start < batch.stop]
        for batch, (images, labels) in zip(batches, self.decoded(order, batches), strict=True):
            if self.augmentation and draws is not None:
                yield self.augmentation.apply(images, draws[batch], self.mean, self.std, self.channels_last), labels
            else:
                yield normalise(images, self.mean, self.std, self.channels_last), labels


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


class TensorLoader(AugmentingLoader):
    """Batches of images that lie in memory, as bytes, on the device they are trained on.

    Args:
        images: The images, channels first.
        labels: Their labels.
        settings: As of `AugmentingLoader`.

    Raises:
        UserError: The batch size is below 1, or there are not as many labels as images.
    """

    def __init__(
        self,
        images: Tensor,  # uint8 [N, C, H, W]
        labels: Tensor,  # int64 [N]
        **settings: Any,
    ) -> None:
        require_as_many(images, labels)
        super().__init__(len(images), (images.shape[2], images.shape[3]), **settings)
        self.images = images.to(self.device)
        self.labels = labels.to(self.device)

    def decoded(self, order: Tensor | None, batches: list[slice]) -> Iterator[tuple[Tensor, Tensor]]:
        """As of `AugmentingLoader`."""
        order = order if order is None else order.to(self.device)
        for batch in batches:
            chosen = batch if order is None else order[batch]
            yield self.images[chosen], self.labels[chosen]


def require_as_many(images: Tensor, labels: Tensor) -> None:
    """Refuses labels of other images.

    Raises:
        UserError: There are not as many labels as images.
    """
    if len(images) != len(labels):
        raise UserError(f"{len(images)} images with {len(labels)} labels", key="labels")


def split_validation(count: int, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Sets a random part of the training images aside, always the same part for a seed.

    Args:
        count: How many training images there are.
        fraction: The part to set aside, from 0 to below 1, rounded to whole images.
        seed: The seed of the split.

    Returns:
        Indices of the images to train on and of those set aside, int64, each sorted; together all images.

    Raises:
        UserError: The fraction is out of range, or leaves nothing on one side.
    """
    if not 0 <= fraction < 1:
        raise UserError("must be 0 or more and below 1", key="validation", value=fraction)
    aside = round(count * fraction)
    if fraction and not 0 < aside < count:
        raise UserError(
            f"holds out {aside} of {count} images", key="validation", value=fraction, remedy="for instance 0.1"
        )
    shuffled = torch.randperm(count, generator=generator(seed, 0, "validation split"))
    return shuffled[aside:].sort().values, shuffled[:aside].sort().values
