"""Batches decoded by FFCV ahead of training, in the order that every loader gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softshare.data.ffcv_file import FfcvFile
from softshare.data.loaders import AugmentingLoader


class FfcvLoader(AugmentingLoader):
    """Batches of images of one size out of a `.beton` file. One epoch is read of a file at a time.

    Args:
        file: The file, opened.
        numbers: Which of its images make up an epoch.
        settings: As of `AugmentingLoader`.

    Raises:
        UserError: The batch size is below 1.
    """

    def __init__(
        self,
        file: FfcvFile,
        numbers: np.ndarray,  # int64 [N]
        **settings: Any,
    ) -> None:
        first = file.beton.samples["image"][0]
        super().__init__(len(numbers), (int(first["height"]), int(first["width"])), **settings)
        self.file = file
        self.numbers = numbers
        self.labels = torch.from_numpy(file.beton.labels[numbers]).to(self.device)

    def decoded(self, order: Tensor | None, batches: list[slice]) -> Iterator[tuple[Tensor, Tensor]]:
        """As of `AugmentingLoader`."""
        if not batches:
            return
        places = torch.arange(self.count) if order is None else order
        places = torch.cat([places[batch] for batch in batches])
        labels = self.labels[places.to(self.device)]
        size = len(range(batches[0].start, batches[0].stop, batches[0].step or 1))
        copy = Copy(self.device)
        pixels = self.file.decoded(self.numbers[places.numpy()], size)
        for part, labels_of_part in zip(pixels, labels.split(size), strict=True):
            yield copy(torch.from_numpy(part)).permute(0, 3, 1, 2), labels_of_part


class Copy:
    """Brings what lies in memory that is used again to a device; on a CPU it stays where it is.

    Args:
        device: The device.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, values: Tensor) -> Tensor:
        """The values on the device, for the current stream; their memory may be written to as soon as this returns."""
        if self.stream is None:
            return values.to(self.device)
        # Only from pinned memory does a copy go on by itself. Torch lends such memory anew when the copy has ended.
        staged = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        staged.copy_(values)
        now = torch.cuda.current_stream(self.device)
        # A stream of its own: the copy need not wait for the step before it.
        with torch.cuda.stream(self.stream):
            copied = staged.to(self.device, non_blocking=True)
        now.wait_stream(self.stream)
        copied.record_stream(now)
        return copied
