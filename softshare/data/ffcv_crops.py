"""A decoder of FFCV's that cuts the crops it is given out of photographs; importing it imports FFCV.

FFCV's own random crops come from numba's generator: with two workers no seed makes them repeatable.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ffcv.fields.rgb_image import IMAGE_MODES, ResizedCropRGBImageDecoder
from ffcv.libffcv import imdecode, resize_crop
from ffcv.pipeline.compiler import Compiler

_decode_jpeg, _resize = Compiler.compile(imdecode), Compiler.compile(resize_crop)


class GivenCropDecoder(ResizedCropRGBImageDecoder):
    """Decodes a photograph, cuts a rectangle out of it and scales that to a square.

    An order's rows tell both: the photograph's number, then top, left, height and width of the rectangle.
    """

    # Abstract in FFCV's decoder, or asked for by it; here the order tells the crops and none is drawn.
    scale = ratio = get_crop_generator = None

    def __init__(self, side: int) -> None:
        super().__init__((side, side))

    def generate_code(self) -> Callable[..., np.ndarray]:
        """What numba compiles: it knows the names and the subset of Python that FFCV's own decoders are written in."""
        jpeg = IMAGE_MODES["jpg"]
        read = self.memory_read
        each = Compiler.get_iterator()
        decode_jpeg, resize = _decode_jpeg, _resize

        def decode(batch_indices, memory, metadata, storage_state):  # type: ignore[no-untyped-def]
            destination, scratch = memory
            for number in each(len(batch_indices)):
                row = batch_indices[number]
                field = metadata[row[0]]
                content = read(field["data_ptr"], storage_state)
                height, width = np.uint32(field["height"]), np.uint32(field["width"])
                if field["mode"] == jpeg:
                    pixels = scratch[number]
                    decode_jpeg(content, pixels, height, width, height, width, 0, 0, 1, 1, False, False)
                    pixels = pixels.reshape(-1)[: 3 * height * width].reshape(height, width, 3)
                else:
                    pixels = content.reshape(height, width, 3)
                resize(pixels, row[1], row[1] + row[3], row[2], row[2] + row[4], destination[number])
            return destination[: len(batch_indices)]

        decode.is_parallel = True  # type: ignore[attr-defined]
        return decode
