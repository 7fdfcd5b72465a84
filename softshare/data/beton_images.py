"""What is stored of each image in a `.beton` file: its pixels, or a JPEG no larger than asked for."""

from __future__ import annotations

import io
import random
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image

from softshare.data.beton import SMALLEST_PAGE
from softshare.errors import UserError

_PAGE = 4 * SMALLEST_PAGE  # FFCV's own


@dataclass(frozen=True)
class StoredImage:
    """An image as it is stored.

    Attributes:
        content: Pixels row by row, or a JPEG.
        width: In pixels.
        height: In pixels.
        jpeg: Whether it is a JPEG.
    """

    content: bytes
    width: int
    height: int
    jpeg: bool


class Images(Protocol):
    """Images by number, as they are to be stored; they are pickled for another process."""

    @property
    def page_size(self) -> int:
        """Bytes of a page, a power of two; no image lies on two."""

    def __len__(self) -> int:
        """How many."""

    def stored(self, index: int) -> StoredImage:
        """One of them; the same bytes whenever it is asked for."""

    def settings(self) -> dict[str, Any]:
        """How they are stored, as plain values."""


@dataclass(frozen=True, eq=False)
class PixelImages:
    """Images in memory, stored as they are."""

    pixels: np.ndarray  # uint8 [N, H, W, 3]
    page_size: int = _PAGE

    def __len__(self) -> int:
        return len(self.pixels)

    def stored(self, index: int) -> StoredImage:
        """As of `Images`."""
        height, width = self.pixels.shape[1:3]
        return StoredImage(self.pixels[index].tobytes(), width, height, jpeg=False)

    def settings(self) -> dict[str, Any]:
        """As of `Images`."""
        return {"stored": "pixels"}


@dataclass(frozen=True)
class PhotographSettings:
    """How photographs are stored.

    Attributes:
        side: Longest side in pixels; larger ones are scaled down, smaller ones are left.
        jpeg_share: Share of them stored as JPEG, from 0 to 1; the others as pixels, larger and faster to read.
        jpeg_quality: Of those encoded anew, 1 to 100. A JPEG that need not be scaled keeps its own bytes.

    Raises:
        UserError: A number out of its range.
    """

    side: int = 500
    jpeg_share: float = 1.0
    jpeg_quality: int = 90

    def __post_init__(self) -> None:
        for key, value, least, most in (
            ("side", self.side, 32, 16_384),
            ("jpeg_share", self.jpeg_share, 0, 1),
            ("jpeg_quality", self.jpeg_quality, 1, 100),
        ):
            if not least <= value <= most:
                raise UserError(f"must be from {least:,} to {most:,}", key=key, value=value)


@dataclass(frozen=True, eq=False)
class PhotographImages:
    """Encoded photographs, scaled and encoded anew where that is asked for.

    Attributes:
        count: How many.
        read: The encoded file of one.
        names: How each is called in an error.
        how: How they are stored.
    """

    count: int
    read: Callable[[int], bytes]
    names: tuple[str, ...]
    how: PhotographSettings

    @property
    def page_size(self) -> int:
        """The smallest power of two that holds the largest photograph: one lies on one page."""
        return max(_PAGE, 1 << (3 * self.how.side**2 - 1).bit_length())

    def __len__(self) -> int:
        return self.count

    def stored(self, index: int) -> StoredImage:
        """As of `Images`.

        Raises:
            UserError: It cannot be read or decoded.
        """
        content = self.read(index)
        how = self.how
        as_jpeg = random.Random(index).random() < how.jpeg_share
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # damaged EXIF, of which ImageNet has some
                with Image.open(io.BytesIO(content)) as opened:
                    largest = max(opened.size)
                    keeps = opened.format == "JPEG" and opened.mode == "RGB" and largest <= how.side
                    image = opened.convert("RGB")  # decodes it: one that is truncated ends here
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            problem = "is no photograph that can be decoded"
            raise UserError(f"{problem} ({error})", file=self.names[index]) from error
        if keeps and as_jpeg and len(content) <= self.page_size:
            return StoredImage(content, *image.size, jpeg=True)
        if largest > how.side:
            width, height = (max(1, round(each * how.side / largest)) for each in image.size)
            image = image.resize((width, height), Image.Resampling.BOX)  # by area, as FFCV does
        if not as_jpeg:
            return StoredImage(image.tobytes(), *image.size, jpeg=False)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=how.jpeg_quality)
        return StoredImage(buffer.getvalue(), *image.size, jpeg=True)

    def settings(self) -> dict[str, Any]:
        """As of `Images`."""
        return {"stored": "photographs", **asdict(self.how)}
