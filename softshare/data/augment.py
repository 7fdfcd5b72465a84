"""Whole-batch augmentation, as CIFAR networks are trained: pad and crop, mirror, normalise, cut out.

Everything random is drawn on the CPU, for a whole epoch at once, so that every device sees the same images.
The pixels stay bytes until the last step. On a CPU a batch is one pass of compiled code (`native_augment`); elsewhere,
and without a compiler, torch does the same in steps: one gather crops, mirrors and pads.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from softshare.data import native_augment
from softshare.errors import UserError, did_you_mean

Padding = Literal["zero", "reflect"]


@dataclass(frozen=True, eq=False)
class Draws:
    """What chance decided for a number of images; indexed by a slice like a list.

    Attributes:
        tops: First row of the crop in the padded image, 0 to 2 * pad.
        lefts: First column of the crop in the padded image, 0 to 2 * pad.
        flips: Whether the crop is mirrored.
        centre_rows: Row of the crop at the centre of the cut-out square.
        centre_columns: Its column.
    """

    tops: Tensor  # int64 [N]
    lefts: Tensor  # int64 [N]
    flips: Tensor  # bool [N]
    centre_rows: Tensor  # int64 [N]
    centre_columns: Tensor  # int64 [N]

    def __len__(self) -> int:
        return len(self.tops)

    def __getitem__(self, chosen: slice) -> Draws:
        return Draws(*(values[chosen] for values in self.all()))

    def to(self, device: torch.device | str) -> Draws:
        """The same draws on a device."""
        return Draws(*(values.to(device) for values in self.all()))

    def all(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Every kind, in the order of the attributes."""
        return self.tops, self.lefts, self.flips, self.centre_rows, self.centre_columns


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied.

    Attributes:
        flip: Mirror every other image, by chance.
        pad: Pixels added at each side before a crop of the image's own size.
        padding: `zero` adds black pixels, `reflect` mirrors the image at its border.
        cutout: Side of the square filled with the mean colour; 0 = none. Its centre is anywhere in the image,
            and what lies outside is clipped.

    Raises:
        UserError: A number below 0 or an unknown padding.
    """

    flip: bool
    pad: int
    padding: Padding = "zero"
    cutout: int = 0

    def __post_init__(self) -> None:
        for key, value in (("pad", self.pad), ("cutout", self.cutout)):
            if value < 0:
                raise UserError("must be 0 or more", key=key, value=value)
        if self.padding not in get_args(Padding):
            remedy = did_you_mean(self.padding, get_args(Padding))
            raise UserError("unknown padding", key="padding", value=self.padding, remedy=remedy)

    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Draws:
        """Draws for `count` images; switching mirroring or cutout off leaves the other draws as they are.

        Args:
            count: Number of images.
            size: Height and width of an image.
            generator: A generator on the CPU.
        """
        height, width = size

        def below(limit: int) -> Tensor:
            return torch.randint(limit, (count,), generator=generator)

        tops, lefts, flips = below(2 * self.pad + 1), below(2 * self.pad + 1), below(2).bool()
        return Draws(tops, lefts, flips & self.flip, below(height), below(width))

    def apply(
        self,
        images: Tensor,  # uint8 [B, C, H, W]
        draws: Draws,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        channels_last: bool = False,
    ) -> Tensor:
        """Augments and normalises a batch, exactly as the steps one by one on each image would.

        Args:
            images: A batch of images.
            draws: What was drawn for these images, on the images' device.
            mean: Mean of each channel, in units of [0, 1].
            std: Standard deviation of each channel, in the same units.
            channels_last: Lay the result out with the channels innermost.

        Returns:
            The normalised images, float32 [B, C, H, W].

        Raises:
            UserError: The image is too small to be reflected that far.
        """
        height, width = images.shape[2:]
        if self.padding == "reflect" and self.pad >= min(height, width):
            raise UserError(f"cannot be reflected in an image of {height}x{width}", key="pad", value=self.pad)
        if native_augment.serves(images):
            centre, scale = _constants(tuple(mean), tuple(std), images.device)
            return native_augment.augmented(
                images,
                draws.all(),
                pad=self.pad,
                reflect=self.padding == "reflect",
                cutout=self.cutout,
                centre=centre,
                scale=scale,
                channels_last=channels_last,
            )
        result = _normalised(self._moved(images, draws), mean, std)
        if self.cutout:
            result.masked_fill_(self._square(images, draws), 0.0)
        return _laid_out(result, channels_last)

    def _moved(self, images: Tensor, draws: Draws) -> Tensor:
        """The images cropped and mirrored, uint8 [B, C, H, W]."""
        if not self.pad and not self.flip:
            return images
        height, width = images.shape[2:]
        along = torch.arange(width, device=images.device)
        across = torch.where(draws.flips[:, None], along.flip(0), along)  # [B, W]
        rows = torch.arange(height, device=images.device) + (draws.tops[:, None] - self.pad)  # [B, H]
        columns = across + (draws.lefts[:, None] - self.pad)  # [B, W]
        if self.padding == "reflect":
            return _picked(images, _reflected(rows, height), _reflected(columns, width))
        inside = _within(rows, height)[:, :, None] & _within(columns, width)[:, None, :]  # [B, H, W]
        picked = _picked(images, rows.clamp(0, height - 1), columns.clamp(0, width - 1))
        return picked.mul_(inside[:, None])

    def _square(self, images: Tensor, draws: Draws) -> Tensor:
        """Where the images are cut out, bool [B, 1, H, W]."""
        height, width = images.shape[2:]
        rows = _covered(draws.centre_rows, self.cutout, height)
        columns = _covered(draws.centre_columns, self.cutout, width)
        return (rows[:, :, None] & columns[:, None, :])[:, None]


def normalise(
    images: Tensor,  # uint8 [B, C, H, W]
    mean: tuple[float, ...],
    std: tuple[float, ...],
    channels_last: bool = False,
) -> Tensor:
    """Bytes to numbers of mean 0 and standard deviation 1 in each channel, float32 [B, C, H, W].

    One subtraction and one multiplication, each rounded on its own: every device comes to the same bits.
    """
    if native_augment.serves(images):
        return Augmentation(flip=False, pad=0).apply(images, _unmoved(len(images)), mean, std, channels_last)
    return _laid_out(_normalised(images, mean, std), channels_last)


def _unmoved(count: int) -> Draws:
    """Draws that leave an image where it is."""
    none = torch.zeros(count, dtype=torch.int64)
    return Draws(none, none, none.bool(), none, none)


def _normalised(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    centre, scale = _constants(tuple(mean), tuple(std), images.device)
    return images.to(torch.float32).sub_(centre).mul_(scale)


def _laid_out(images: Tensor, channels_last: bool) -> Tensor:
    # Last of all: on a CPU the steps before it are several times slower with the channels innermost.
    return images.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


@functools.lru_cache(maxsize=16)
def _constants(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    centre = torch.tensor(mean, dtype=torch.float64) * 255
    scale = 1 / (torch.tensor(std, dtype=torch.float64) * 255)
    shaped = [values.to(torch.float32).view(1, -1, 1, 1).to(device) for values in (centre, scale)]
    return shaped[0], shaped[1]


def _picked(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels at each image's own rows [B, H] and columns [B, W]."""
    batch, channels, _, width = images.shape
    index = (rows * width)[:, :, None] + columns[:, None, :]  # [B, H, W]
    flat = index.view(batch, 1, -1).expand(batch, channels, -1)
    return images.flatten(2).gather(2, flat).view(images.shape)


def _reflected(positions: Tensor, size: int) -> Tensor:
    return (size - 1) - ((size - 1) - positions.abs()).abs()


def _within(positions: Tensor, size: int) -> Tensor:
    return (positions >= 0) & (positions < size)


def _covered(centres: Tensor, side: int, size: int) -> Tensor:
    """Which positions a square around each centre covers, bool [B, size]."""
    first = centres[:, None] - side // 2
    return _within(torch.arange(size, device=centres.device) - first, side)
