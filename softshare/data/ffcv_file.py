"""Images decoded by FFCV from a checked `.beton` file, in an order that is given.

FFCV is used for what it does well, decoding in threads ahead of training. Order, crops and augmentation are ours: its
own are drawn from generators that no seed makes repeatable.
"""

from __future__ import annotations

import importlib.util
import math
import queue
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from softshare.data.beton import Beton
from softshare.data.own_process import LIMIT
from softshare.errors import UserError

_REMEDY = "make ffcv (README, Loaders); or another loader"
# Once FFCV's thread has decoded nothing for so many seconds, look whether it is still there.
_LOOK_AFTER = 5.0
# Batches decoded ahead; each takes memory, and a fourth never helped.
_AHEAD = 3


def ffcv_is_installed() -> bool:
    """Whether FFCV is there; that it can be imported is seen when it is, which takes seconds."""
    return importlib.util.find_spec("ffcv") is not None


def require_ffcv() -> None:
    """Imports FFCV.

    Raises:
        UserError: It is not installed, or one of the libraries that it links is missing.
    """
    threads = torch.get_num_threads()
    try:
        import ffcv  # noqa: F401
        from numba import config
    except (ImportError, OSError) as error:
        raise UserError(f"FFCV cannot be imported ({error})", key="loader", value="ffcv", remedy=_REMEDY) from error
    finally:
        torch.set_num_threads(threads)  # its import sets them to 1
    # Its workers and numba's are the same threads, of which there cannot be more than when numba was imported.
    if threads > config.NUMBA_NUM_THREADS:
        torch.set_num_threads(config.NUMBA_NUM_THREADS)


class FfcvFile:
    """A file opened by FFCV. One epoch is read at a time.

    Opening compiles the decoder, for some seconds; so a run opens a file once, for training and evaluation alike. (Two
    files opened in one process with different numbers of threads were seen to fail to compile.)

    Args:
        beton: The file, checked.
        crop: Side of what is decoded of each photograph; None: images of one size, decoded whole.

    Raises:
        UserError: FFCV cannot be imported, or the images are not of one size and no crop is given.
    """

    def __init__(self, beton: Beton, crop: int | None = None) -> None:
        require_ffcv()
        from ffcv.fields.rgb_image import SimpleRGBImageDecoder
        from ffcv.loader import Loader

        from softshare.data.ffcv_crops import GivenCropDecoder

        images = beton.samples["image"]
        if crop is None and len({(int(w), int(h)) for w, h in np.unique(images[["width", "height"]])}) != 1:
            raise UserError("holds images of several sizes", file=beton.path, remedy="give the size of a crop")
        self.beton = beton
        self.crop = crop
        decoder = SimpleRGBImageDecoder() if crop is None else GivenCropDecoder(crop)
        self._loader: Any = Loader(
            str(beton.path),
            batch_size=1,
            num_workers=torch.get_num_threads(),
            pipelines={"image": [decoder], "label": None},
            drop_last=False,
            batches_ahead=_AHEAD,
        )

    def decoded(
        self,
        order: np.ndarray,  # int64 [N]
        batch_size: int,
        crops: np.ndarray | None = None,  # int64 [N, 4]: top, left, height, width
    ) -> Iterator[np.ndarray]:
        """Images in an order.

        Args:
            order: Their numbers in the file.
            batch_size: Images a batch; the last holds what is left.
            crops: What is cut out of each, in pixels of the stored image, and scaled to the crop's side.

        Yields:
            uint8 [B, H, W, 3]: a view of memory that is used again, good until the next is asked for.

        Raises:
            UserError: FFCV's thread ended before its work did, or decoded nothing within the limit.
        """
        from ffcv.loader.epoch_iterator import EpochIterator

        if (crops is None) != (self.crop is None):
            raise ValueError("crops are given if and only if a crop's side was")
        rows = order if crops is None else np.column_stack([order, crops])
        self._loader.batch_size = batch_size
        batches = EpochIterator(self._loader, np.ascontiguousarray(rows, np.int64))
        try:
            while (result := self._next(batches)) is not None:
                yield result[1][0]
        finally:
            batches.close()  # else its thread stays

    def _next(self, batches: Any) -> Any:
        # Counted, not timed: a job that a scheduler suspends for hours has not hung.
        for _ in range(math.ceil(LIMIT / _LOOK_AFTER)):
            try:
                return batches.output_queue.get(timeout=_LOOK_AFTER)
            except queue.Empty:
                # A fault in its thread prints a traceback and would leave us waiting for ever.
                if not batches.is_alive() and batches.output_queue.empty():
                    raise UserError(
                        "FFCV stopped in the middle of an epoch", file=self.beton.path, remedy="its traceback is above"
                    ) from None
        remedy = "does the disk answer? or another loader"
        raise UserError(f"FFCV decoded nothing within {LIMIT:g} s", file=self.beton.path, remedy=remedy)
