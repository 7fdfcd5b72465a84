"""Colours of a batch of photographs, on its device: mirroring, jitter, lighting and normalising in one pass.

Brightness, contrast, saturation and lighting, in whatever order, and the normalising after them take each pixel's three
numbers to three others by a matrix and a shift that are the same all over an image. So they are put together first, for
each image on the CPU in float64, and the pixels are touched once. Contrast needs the image's mean grey: that of
what the steps before it left, which follows from the mean colours.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from softshare.data.native_colours import colour_sums, serves, transformed
from softshare.data.photograph_augment import JITTER, LIGHTING, MIRRORED, ORDER, PhotographAugmentation

# Of fb.resnet.torch, over ImageNet's training photographs, in units of [0, 1].
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
_EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])
_EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
_GREY = np.array([0.299, 0.587, 0.114])

_BRIGHTNESS, _CONTRAST, _SATURATION = range(3)
_ORDERS = np.array(list(itertools.permutations(range(3))))


def augment_colours(
    images: Tensor,  # uint8 [B, 3, H, W]
    chance: np.ndarray,  # [B, CHANCES]
    augmentation: PhotographAugmentation,
    sums: Tensor | None = None,  # int64 [B, 3]
) -> Tensor:
    """Mirrors, varies and normalises a batch.

    Args:
        images: Crops, on the device where the result is wanted.
        chance: What chance gave to each.
        augmentation: How much they are varied.
        sums: Of each image's bytes, from `byte_sums`, on the CPU. Reckoned here by default: on a GPU the host then
            waits for all that it was given to do.

    Returns:
        float32 [B, 3, H, W] on the images' device and in their memory format.
    """
    mirrored = chance[:, MIRRORED] < 0.5 if augmentation.mirror else np.zeros(len(images), bool)
    sums = byte_sums(images) if sums is None else sums
    means = sums.cpu().numpy() / (255.0 * images.shape[2] * images.shape[3])
    return _transformed(images, mirrored, *colour_maps(means, chance, augmentation))


def byte_sums(images: Tensor) -> Tensor:
    """Sum of each image's bytes in each channel: uint8 [B, 3, H, W] -> int64 [B, 3], exact in whatever order."""
    return colour_sums(images) if serves(images) else images.sum((2, 3), dtype=torch.int64)


def normalise_photographs(images: Tensor) -> Tensor:
    """uint8 [B, 3, H, W] as float32 of mean 0 and standard deviation 1 in each channel over ImageNet."""
    count = len(images)
    matrices = np.broadcast_to(np.diag(1 / np.array(STD)) / 255, (count, 3, 3))
    shifts = np.broadcast_to(-np.array(MEAN) / np.array(STD), (count, 3))
    return _transformed(images, np.zeros(count, bool), matrices, shifts)


def colour_maps(
    means: np.ndarray,  # [B, 3]
    chance: np.ndarray,  # [B, CHANCES]
    augmentation: PhotographAugmentation,
) -> tuple[np.ndarray, np.ndarray]:
    """What takes each image's bytes to the normalised colours.

    Args:
        means: Mean colour of each, in units of [0, 1].
        chance: What chance gave to each.
        augmentation: How much they are varied.

    Returns:
        Matrices [B, 3, 3] and shifts [B, 3].
    """
    from scipy.special import ndtri  # slow to import, and few runs need it

    count = len(means)
    strengths = np.array([augmentation.brightness, augmentation.contrast, augmentation.saturation])
    factors = 1 + strengths * (2 * chance[:, JITTER] - 1)  # [B, 3]
    orders = _ORDERS[(chance[:, ORDER] * len(_ORDERS)).astype(np.int64)]  # [B, 3]
    matrices, shifts = np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3))
    grey_of = np.tile(_GREY, (3, 1))  # a pixel's grey in each channel
    for place in range(3):
        step = orders[:, place]
        factor = factors[np.arange(count), step]
        saturated = (factor[:, None, None] * np.eye(3)) + (1 - factor)[:, None, None] * grey_of
        matrix = np.where((step == _SATURATION)[:, None, None], saturated, factor[:, None, None] * np.eye(3))
        mean = np.einsum("bij,bj->bi", matrices, means) + shifts
        shift = np.where(step == _CONTRAST, (1 - factor) * (mean @ _GREY), 0.0)[:, None]
        matrices, shifts = matrix @ matrices, np.einsum("bij,bj->bi", matrix, shifts) + shift
    # 1e-300: no chance is so small, but for the 0 that it may be.
    noise = augmentation.lighting * ndtri(np.maximum(chance[:, LIGHTING], 1e-300))
    shifts = shifts + (noise * _EIGENVALUES) @ _EIGENVECTORS.T
    scale = 1 / np.array(STD)
    return matrices * scale[:, None] / 255, (shifts - np.array(MEAN)) * scale


def _transformed(images: Tensor, mirrored: np.ndarray, matrices: np.ndarray, shifts: np.ndarray) -> Tensor:
    # Not blocking: else the host waits for the step before.
    mirror, matrix, shift = (
        torch.from_numpy(values).to(images.device, non_blocking=True)
        for values in (mirrored, np.ascontiguousarray(matrices, np.float32), np.ascontiguousarray(shifts, np.float32))
    )
    if serves(images):
        return transformed(images, mirror, matrix, shift)
    images = torch.where(mirror[:, None, None, None], images.flip(3), images) if mirrored.any() else images
    pixels = images.to(torch.float32)
    # Not a matrix product, which would round to TF32 or bf16 where those are switched on; nor `addcmul`, which rounds
    # once where the compiled code rounds twice.
    result = pixels[:, 0:1] * matrix[:, :, 0, None, None]
    for channel in (1, 2):
        result.add_(pixels[:, channel : channel + 1] * matrix[:, :, channel, None, None])
    return result.add_(shift[:, :, None, None]).contiguous(memory_format=torch.channels_last)
