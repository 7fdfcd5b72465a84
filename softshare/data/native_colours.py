"""Colours of photographs as compiled code; without a compiler `photograph_colours` uses torch, to the same bits."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from softshare.compiled import ROUNDED_AS_TORCH, address, in_threads, library_beside

library = library_beside(__file__, ROUNDED_AS_TORCH)
# Below so many pixels a thread's start costs more than it saves.
_SHARE = 1 << 16


def serves(images: Tensor) -> bool:
    """Whether the compiled code takes a batch [B, 3, H, W]: of bytes, on the CPU, channels innermost."""
    return (
        images.device.type == "cpu"
        and images.dtype == torch.uint8
        and images.shape[1] == 3
        and images.numel() > 0
        and images.is_contiguous(memory_format=torch.channels_last)
        and library() is not None
    )


def colour_sums(images: Tensor) -> Tensor:
    """Sum of each image's bytes in each channel, int64 [B, 3]; `serves` tells for what."""
    code = library()
    assert code is not None
    count, _, height, width = images.shape
    sums = torch.empty(count, 3, dtype=torch.int64)
    size = ctypes.c_int64

    def part(first: int, last: int) -> None:
        code.softshare_colour_sums(address(images), size(height * width), address(sums), size(first), size(last))

    in_threads(part, count, max(1, _SHARE // (height * width)))
    return sums


def transformed(
    images: Tensor,  # uint8 [B, 3, H, W]
    mirrored: Tensor,  # bool [B]
    matrices: Tensor,  # float32 [B, 3, 3]
    shifts: Tensor,  # float32 [B, 3]
) -> Tensor:
    """Each pixel's bytes times its image's matrix, plus its shift: float32 [B, 3, H, W], channels innermost."""
    code = library()
    assert code is not None
    count, _, height, width = images.shape
    result = torch.empty(images.shape, dtype=torch.float32, memory_format=torch.channels_last)
    mirrored, matrices, shifts = mirrored.contiguous(), matrices.contiguous(), shifts.contiguous()
    size = ctypes.c_int64

    def part(first: int, last: int) -> None:
        failed = code.softshare_colours(
            address(images), size(height), size(width), address(mirrored), address(matrices), address(shifts),
            address(result), size(first), size(last),
        )  # fmt: skip
        if failed:
            raise MemoryError

    in_threads(part, count, max(1, _SHARE // (height * width)))
    return result
