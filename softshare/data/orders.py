"""What is drawn with torch from (seed, epoch): generators, and the order of an epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from softshare.data.seeding import epoch_seed


def generator(seed: int, epoch: int, purpose: str) -> torch.Generator:
    """A generator on the CPU for one use of randomness in one epoch; arguments as of `epoch_seed`."""
    return torch.Generator().manual_seed(epoch_seed(seed, epoch, purpose))


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """The order of an epoch's examples: a permutation of `count` indices that follows from (seed, epoch) alone."""
    return torch.randperm(count, generator=generator(seed, epoch, "order"))
