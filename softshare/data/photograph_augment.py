"""Augmentation of photographs after fb.resnet.torch: what chance decides, and the crops. Colours: `photograph_colours`.

An image's chances are 64 numbers that depend on the seed, the epoch and its place in the epoch alone. So any process,
any number of them, and any back end that decodes come to the same crop and the same colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor
from torch.nn import functional

from softshare.data.seeding import epoch_seed

Interpolation = Literal["bilinear", "bicubic"]

# Of an image: five for each attempt at a crop, then those of mirroring and colours. A multiple of 4: Philox counts in
# such steps, so that the chances of a batch begin where those of the batch before it end.
CHANCES = 64
_ATTEMPTS, _A_TRY = 10, 5
MIRRORED = _ATTEMPTS * _A_TRY
JITTER = slice(MIRRORED + 1, MIRRORED + 4)
ORDER = MIRRORED + 4
LIGHTING = slice(MIRRORED + 5, MIRRORED + 8)


@dataclass(frozen=True)
class PhotographAugmentation:
    """How training photographs are varied.

    Attributes:
        crop: Height and width of what is given to the network.
        area: Least and most of a photograph that a crop takes, as a share.
        ratio: Least and most of its width to its height, before the two change places by chance.
        interpolation: How it is scaled.
        mirror: Mirror every other image, by chance.
        brightness: A factor is drawn from 1 - this to 1 + this.
        contrast: Likewise, towards the image's mean grey.
        saturation: Likewise, towards each pixel's grey.
        lighting: Standard deviation of the noise along the principal axes of ImageNet's colours.
    """

    crop: int = 224
    area: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: Interpolation = "bicubic"
    mirror: bool = True
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    lighting: float = 0.1


def chances(seed: int, epoch: int, first: int, count: int) -> np.ndarray:
    """What chance gives to the images at places `first` to `first + count - 1` of an epoch.

    Args:
        seed: The run's seed.
        epoch: Counted from 0.
        first: Place of the first image in the epoch's order, over all devices, from 0.
        count: Images.

    Returns:
        Numbers from 0 to below 1, float64 [count, `CHANCES`].
    """
    key = epoch_seed(seed, epoch, "photographs")
    bits = np.random.Philox(key=key, counter=first * (CHANCES // 4))
    return np.random.Generator(bits).random((count, CHANCES))


def crop_boxes(
    chance: np.ndarray,  # [N, CHANCES]
    widths: np.ndarray,  # [N]
    heights: np.ndarray,  # [N]
    augmentation: PhotographAugmentation,
) -> np.ndarray:
    """The part of each photograph that is scaled to the crop, as fb.resnet.torch draws it.

    Ten times an area and a ratio are drawn, and width and height change places by chance; the first that fits is taken,
    at a place drawn. Where none fits it is the central square.

    Returns:
        Left, top, right and bottom in pixels, int64 [N, 4].
    """
    tries = chance[:, : _ATTEMPTS * _A_TRY].reshape(-1, _ATTEMPTS, _A_TRY)
    width, height = widths.astype(np.float64)[:, None], heights.astype(np.float64)[:, None]
    area = _between(tries[:, :, 0], augmentation.area) * (width * height)
    ratio = _between(tries[:, :, 1], augmentation.ratio)
    across, down = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
    across, down = np.where(tries[:, :, 2] < 0.5, (down, across), (across, down))
    across, down = np.maximum(across, 1), np.maximum(down, 1)
    fits = (across <= width) & (down <= height)
    lefts = np.floor(tries[:, :, 3] * (width - across + 1))
    tops = np.floor(tries[:, :, 4] * (height - down + 1))
    boxes = np.stack([lefts, tops, lefts + across, tops + down], axis=2)  # [N, attempts, 4]
    chosen = np.take_along_axis(boxes, fits.argmax(1)[:, None, None], axis=1)[:, 0]
    central = _central_squares(widths, heights)
    return np.where(fits.any(1)[:, None], chosen, central).astype(np.int64)


def cropped(
    image: Tensor,  # uint8 [H, W, 3]
    box: np.ndarray,  # left, top, right, bottom
    augmentation: PhotographAugmentation,
) -> Tensor:
    """The part of a photograph in a box, scaled to the crop: uint8 [crop, crop, 3]."""
    left, top, right, bottom = box.tolist()
    # Cut out first: scaling a part in place would let the pixels beside it in.
    return _scaled(image[top:bottom, left:right], augmentation.crop, augmentation.crop, augmentation.interpolation)


def centred(
    image: Tensor,  # uint8 [H, W, 3]
    resize: int,
    crop: int,
    interpolation: Interpolation,
) -> Tensor:
    """The central crop of a photograph whose shorter side is scaled to `resize` pixels: uint8 [crop, crop, 3]."""
    shorter = min(image.shape[:2])
    height, width = (max(1, round(side * resize / shorter)) for side in image.shape[:2])
    scaled = _scaled(image, height, width, interpolation)
    left, top = round((width - crop) / 2), round((height - crop) / 2)
    return functional.pad(scaled, (0, 0, -left, left + crop - width, -top, top + crop - height))


def _scaled(image: Tensor, height: int, width: int, interpolation: Interpolation) -> Tensor:
    """Made smaller it is low-passed: torch goes about bytes as Pillow does, in a third of the time."""
    pixels = image.permute(2, 0, 1)[None]
    scaled = functional.interpolate(pixels, size=(height, width), mode=interpolation, antialias=True)
    return scaled[0].permute(1, 2, 0)


def _between(chance: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    return ends[0] + (ends[1] - ends[0]) * chance


def _central_squares(widths: np.ndarray, heights: np.ndarray) -> np.ndarray:
    side = np.minimum(widths, heights)
    lefts, tops = (widths - side) // 2, (heights - side) // 2
    return np.stack([lefts, tops, lefts + side, tops + side], axis=1)
