"""Batches by torch's own DataLoader: worker processes pick decoded images, in the order that every loader gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from softshare.data.loaders import AugmentingLoader, require_as_many
from softshare.data.loading_processes import loaded, with_processes


class WorkerLoader(AugmentingLoader):
    """Batches of images in memory, picked by the worker processes of a DataLoader.

    Args:
        images: The images, channels first.
        labels: Their labels.
        workers: Worker processes; 0 = this one.
        settings: As of `AugmentingLoader`.

    Raises:
        UserError: The batch size is below 1, or there are not as many labels as images.
    """

    def __init__(
        self,
        images: Tensor,  # uint8 [N, C, H, W]
        labels: Tensor,  # int64 [N]
        *,
        workers: int,
        **settings: Any,
    ) -> None:
        require_as_many(images, labels)
        super().__init__(len(images), (images.shape[2], images.shape[3]), **settings)
        self._sampler = _Sampler()
        self._loader = with_processes(_Batches(images, labels), self._sampler, workers, self.device)

    def decoded(self, order: Tensor | None, batches: list[slice]) -> Iterator[tuple[Tensor, Tensor]]:
        """As of `AugmentingLoader`.

        Raises:
            UserError: As of `loaded`.
        """
        order = torch.arange(self.count) if order is None else order
        self._sampler.batches = [order[batch] for batch in batches]
        for images, labels in loaded(self._loader):
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)


class _Sampler:
    """The numbers of each batch of the epoch that is asked for next; a DataLoader reads it."""

    def __init__(self) -> None:
        self.batches: list[Tensor] = []

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.batches)


class _Batches(Dataset):
    """A batch at a time, so that no image is handed from process to process by itself."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images = images
        self.labels = labels

    def __getitem__(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        return self.images[numbers], self.labels[numbers]
