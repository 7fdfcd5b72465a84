"""Dropout whose mask is drawn, on a CPU, from 16 random bits an element."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LEVELS = 1 << 16  # of 16 random bits


class Dropout(nn.Dropout):
    """`nn.Dropout`; in training on a CPU an element's fate is 16 bits of torch's generator, four elements a draw.

    torch draws a number for each element there, which in a narrow network takes nearly as long as all else. p is kept
    to 1/65,536. On other devices, and while a computation is captured, torch computes.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[...] -> [...], in the layout of the input."""
        below = round(self.p * _LEVELS)
        if not self.training or not 0 < below < _LEVELS or x.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(x)
        count = x.numel()
        bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = bits.view(torch.int16)[:count] >= below - _LEVELS // 2
        return x * _laid_out_as(x, kept.to(x.dtype).mul_(1 / (1 - self.p)))


def _laid_out_as(x: Tensor, flat: Tensor) -> Tensor:
    """A flat tensor in another's shape, and in its order in memory where that is images' `channels_last`."""
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        images, channels, rows, columns = x.shape
        return flat.view(images, rows, columns, channels).permute(0, 3, 1, 2)
    return flat.view(x.shape)
