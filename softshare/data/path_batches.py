"""Batches of the shortest-path task, as networks take them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from softshare.data.shortest_paths import PathSet


def path_batches(examples: PathSet, batch_size: int, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs float32 [B, 2, side, side], channels innermost, and labels float32 [B, side, side], of 0 and 1.

    Args:
        examples: On the device that the batches are wanted on.
        batch_size: Examples a batch; the last one holds what is left.
        order: Indices of the examples [N]; as they lie by default.
    """
    for start in range(0, len(examples), batch_size):
        batch = slice(start, start + batch_size)
        chosen = batch if order is None else order[batch]
        inputs = examples.inputs[chosen].float().contiguous(memory_format=torch.channels_last)
        yield inputs, examples.labels[chosen].float()


def on_device(examples: PathSet, device: torch.device) -> PathSet:
    """The examples, as bytes, on a device."""
    return PathSet(examples.inputs.to(device), examples.labels.to(device))
