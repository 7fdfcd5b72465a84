"""Batches of photographs: worker processes decode and crop, the device varies the colours.

Order, crops and colours follow from (seed, epoch) and the place in the epoch. How many processes decode makes no
difference, and a part of each batch could be decoded elsewhere.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from softshare.cores import usable_cores
from softshare.data.loaders import WHOLE, Part, require_images_for_all
from softshare.data.loading_processes import loaded, with_processes
from softshare.data.orders import epoch_order
from softshare.data.photograph_augment import PhotographAugmentation, centred, chances, crop_boxes, cropped
from softshare.data.photograph_colours import augment_colours, byte_sums, normalise_photographs
from softshare.data.photograph_decoding import decoded
from softshare.data.photographs import Photographs
from softshare.errors import UserError

# More processes than that wait for each other's memory.
_MOST_WORKERS, _LARGEST_NUMBER = 16, 1024


def default_workers() -> int:
    """Processes that decode where nobody says: the cores this process may use, at most 16.

    Where `torchrun` started several processes on this machine, each takes its share of the cores.
    """
    beside = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return min(max(1, usable_cores() // max(1, int(beside) if beside.isdecimal() else 1)), _MOST_WORKERS)


def workers_of(asked: int | None) -> int:
    """Processes that decode: as many as are asked for, else as this machine has cores for.

    Raises:
        UserError: A number that no machine has.
    """
    if asked is None:
        return default_workers()
    if not 0 <= asked <= _LARGEST_NUMBER:
        raise UserError(f"must be from 0 to {_LARGEST_NUMBER:,}", key="workers", value=asked)
    return asked


@dataclass(frozen=True)
class Crops:
    """Decoded and cropped batches of an epoch, by their numbers.

    Attributes:
        photographs: What is read.
        order: Number of the photograph at each place of the epoch, int64 [N].
        batch_size: Images a batch, over all devices.
        augmentation: How they are varied, and how large they are.
        resize: Pixels of the shorter side before the central crop; None = crops at random.
        seed: The run's seed.
        epoch: Counted from 0.
        part: What this process takes of each batch.
    """

    photographs: Photographs
    order: Tensor
    batch_size: int
    augmentation: PhotographAugmentation
    resize: int | None
    seed: int
    epoch: int
    part: Part = WHOLE

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def places(self, batch: int) -> slice:
        """Places in the epoch's order that this process takes of a batch."""
        start = batch * self.batch_size
        return self.part.within(start, min(len(self.order), start + self.batch_size))

    def labels(self, batch: int) -> Tensor:
        """Classes of a batch, int64 [B]."""
        return self.photographs.labels[self.order[self.places(batch)]]

    def chances(self, batch: int) -> np.ndarray:
        """What chance gave to each image of a batch, float64 [B, CHANCES]."""
        places = self.places(batch)
        start = batch * self.batch_size
        drawn = chances(self.seed, self.epoch, start, places.stop - start)
        return drawn[places.start - start :: self.part.of]

    def pixels(self, batch: int) -> Tensor:
        """A batch, uint8 [B, crop, crop, 3].

        Raises:
            UserError: A photograph cannot be read or decoded.
        """
        chosen, chance = self.order[self.places(batch)].tolist(), self.chances(batch)
        side = self.augmentation.crop
        pixels = torch.empty(len(chosen), side, side, 3, dtype=torch.uint8)
        for row, index in enumerate(chosen):
            image = self._decoded(index)
            if self.resize is not None:
                pixels[row] = centred(image, self.resize, side, self.augmentation.interpolation)
            else:
                height, width = np.array(image.shape[:2]).reshape(2, 1)
                (box,) = crop_boxes(chance[row : row + 1], width, height, self.augmentation)
                pixels[row] = cropped(image, box, self.augmentation)
        return pixels

    def _decoded(self, index: int) -> Tensor:
        content = self.photographs.read(index)
        try:
            return decoded(content)
        except Exception as error:  # a damaged image fails in any way there is
            where = self.photographs.where(index)
            raise UserError(f"cannot be decoded ({error})", file=where, remedy="run softshare data check") from error


class PhotographLoader:
    """Batches of photographs on a device, channels last. A `Loader` (see `softshare.data.loaders`).

    Args:
        photographs: What is read.
        batch_size: Images a batch; the last batch of an epoch holds what is left.
        augmentation: How they are varied, and how large they are.
        resize: Pixels of the shorter side; the central crop is then taken and nothing varied. None = varied.
        seed: The run's seed.
        device: Where images and labels are given.
        workers: Processes that decode; 0 = none but this one.
        shuffle: Draw a new order each epoch.
        part: What this process takes of each batch.

    Raises:
        UserError: The batch size is below 1, workers below 0, or a training batch holds fewer images than there are
            processes.
    """

    def __init__(
        self,
        photographs: Photographs,
        *,
        batch_size: int,
        augmentation: PhotographAugmentation,
        resize: int | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        workers: int = 0,
        shuffle: bool = False,
        part: Part = WHOLE,
    ) -> None:
        for key, value, least in (("batch_size", batch_size, 1), ("workers", workers, 0)):
            if value < least:
                raise UserError(f"must be {least} or more", key=key, value=value)
        if shuffle:
            require_images_for_all(len(photographs), batch_size, part)
        self.photographs = photographs
        self.count = len(photographs)
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.resize = resize
        self.seed = seed
        self.device = torch.device(device)
        self.workers = workers
        self.shuffle = shuffle
        self.part = part
        self._processes: DataLoader | None = None

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def crops(self, epoch: int) -> Crops:
        """The decoded batches of an epoch, counted from 0."""
        order = epoch_order(self.count, self.seed, epoch) if self.shuffle else torch.arange(self.count)
        return Crops(
            self.photographs, order, self.batch_size, self.augmentation, self.resize, self.seed, epoch, self.part
        )

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch, counted from 0: images float32 [B, 3, H, W] and labels int64 [B].

        One epoch is read at a time; another one begun ends it.

        Raises:
            UserError: A photograph cannot be read or decoded, or as of `loaded`.
        """
        crops = self.crops(epoch)
        for batch, pixels in enumerate(self._decoded(crops)):
            if not len(pixels):
                continue
            sums = byte_sums(pixels.permute(0, 3, 1, 2)) if self.resize is None else None  # before the device has them
            images = self._on_device(pixels).permute(0, 3, 1, 2)
            labels = crops.labels(batch).to(self.device, non_blocking=True)
            if self.resize is not None:
                yield normalise_photographs(images), labels
            else:
                yield augment_colours(images, crops.chances(batch), self.augmentation, sums), labels

    def _on_device(self, pixels: Tensor) -> Tensor:
        return pixels.to(self.device, non_blocking=True)

    def _decoded(self, crops: Crops) -> Iterator[Tensor]:
        """The batches of this process on the CPU, uint8 [B, crop, crop, 3]; each good until the next is asked for."""
        if self._processes is None:
            # Kept from epoch to epoch: to start them takes as long as to decode some hundred photographs.
            workers = min(self.workers, len(crops))
            # A copy, which holds no processes: a loader in a circle with its own would outlive its last use, and them
            # with it.
            work = _Batches(copy.copy(self))
            self._processes = with_processes(work, _Epoch(len(crops)), workers, self.device)
        self._processes.sampler.number = crops.epoch  # type: ignore[attr-defined]
        for batch in loaded(self._processes):
            if isinstance(batch, UserError):
                raise batch
            yield batch


class _Batches(Dataset):
    """Batches for `DataLoader`; an error is handed over whole, for raised in a worker it would lose its one line."""

    def __init__(self, loader: PhotographLoader) -> None:
        self.loader = loader
        self.crops: Crops | None = None

    def __len__(self) -> int:
        return len(self.loader)

    def __getitem__(self, key: tuple[int, int]) -> Tensor | UserError:
        epoch, batch = key
        if self.crops is None or self.crops.epoch != epoch:
            self.crops = self.loader.crops(epoch)
        try:
            return self.crops.pixels(batch)
        except UserError as error:
            return error


class _Epoch(Sampler[tuple[int, int]]):
    """The batches of the epoch whose number it is told, as (epoch, batch)."""

    def __init__(self, batches: int) -> None:
        self.batches = batches
        self.number = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter([(self.number, batch) for batch in range(self.batches)])

    def __len__(self) -> int:
        return self.batches
