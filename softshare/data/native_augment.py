"""Whole-batch augmentation as compiled code, on a CPU with a C compiler; elsewhere `augment` does it with torch.

One pass over a batch in place of the ten that torch needs, to the same bits.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from softshare.compiled import ROUNDED_AS_TORCH, address, in_threads, library_beside

library = library_beside(__file__, ROUNDED_AS_TORCH)
# Below so many pixels a thread's start costs more than it saves.
_SHARE = 1 << 16


def serves(images: Tensor) -> bool:
    """Whether the compiled code takes a batch [B, C, H, W], in whatever layout it lies."""
    return images.device.type == "cpu" and images.dtype == torch.uint8 and images.numel() > 0 and library() is not None


def augmented(
    images: Tensor,  # uint8 [B, C, H, W]
    draws: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],  # tops, lefts, flips, centre rows, centre columns: [B] each
    *,
    pad: int,
    reflect: bool,
    cutout: int,
    centre: Tensor,  # float32 [C, ...]
    scale: Tensor,  # float32 [C, ...]
    channels_last: bool,
) -> Tensor:
    """As `Augmentation.apply`; `serves` tells for what.

    Args:
        images: A batch of images.
        draws: What was drawn for them, on the CPU.
        pad: Pixels added at each side.
        reflect: Whether they mirror the image; else they are black.
        cutout: Side of the square that is cut out; 0 = none.
        centre: What is taken from the bytes of each channel.
        scale: What the rest is multiplied with.
        channels_last: Lay the result out with the channels innermost.

    Returns:
        The normalised images, float32 [B, C, H, W].
    """
    code = library()
    assert code is not None
    count, channels, height, width = images.shape
    layout = torch.channels_last if channels_last else torch.contiguous_format
    result = torch.empty(images.shape, dtype=torch.float32, memory_format=layout)
    tops, lefts, flips, rows, columns = (values.contiguous() for values in draws)
    numbers = (ctypes.c_void_p * 4)(*(values.data_ptr() for values in (tops, lefts, rows, columns)))
    strides = (ctypes.c_int64 * 4)(*images.stride())
    size = ctypes.c_int64

    def part(first: int, last: int) -> None:
        failed = code.softshare_augment(
            address(images), strides, size(channels), size(height), size(width), numbers, address(flips), size(pad),
            int(reflect), size(cutout), address(centre), address(scale), address(result), int(channels_last),
            size(first), size(last),
        )  # fmt: skip
        if failed:
            raise MemoryError

    in_threads(part, count, max(1, _SHARE // (channels * height * width)))
    return result
