"""Training and test images as tensors, with the sums that tell one set from another."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Splits:
    """The images of a dataset, as bytes with the channels first, and their labels."""

    train_images: Tensor  # uint8 [N, C, H, W]
    train_labels: Tensor  # int64 [N]
    test_images: Tensor  # uint8 [M, C, H, W]
    test_labels: Tensor  # int64 [M]

    def fingerprint(self) -> str:
        """SHA-256 over shapes, pixels and labels, of the training images and then of the test images."""
        digest = hashlib.sha256()
        for values in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(f"{str(values.dtype).removeprefix('torch.')}{list(values.shape)}".encode())
            digest.update(values.contiguous().numpy().reshape(-1).view(np.uint8).data)
        return digest.hexdigest()


def channel_statistics(images: Tensor) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of each of the three channels, in units of [0, 1].

    The sums are whole numbers and therefore exact; only the last division and root are rounded.
    """
    means, deviations = [], []
    for channel in range(3):
        counts = sum(torch.bincount(part[:, channel].flatten(), minlength=256) for part in images.split(4096))
        assert isinstance(counts, Tensor)  # [256]
        histogram = counts.tolist()
        total = sum(histogram)
        first = sum(value * count for value, count in enumerate(histogram))
        second = sum(value * value * count for value, count in enumerate(histogram))
        means.append(first / (255 * total))
        deviations.append(math.sqrt(total * second - first * first) / (255 * total))
    return (means[0], means[1], means[2]), (deviations[0], deviations[1], deviations[2])
