"""Training photographs decoded by FFCV out of a `.beton` file, with our order, crops and colours.

FFCV scales a crop by area, and the file holds photographs scaled and encoded anew: pixels are not those that
`PhotographLoader` makes of the original files. So this loader trains only; error is measured on the originals.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softshare.data.beton import facts_file, read_facts
from softshare.data.ffcv_file import FfcvFile
from softshare.data.ffcv_loader import Copy
from softshare.data.photograph_augment import crop_boxes
from softshare.data.photograph_loader import Crops, PhotographLoader
from softshare.data.photographs import Photographs
from softshare.errors import UserError


def decoding_of(path: Path) -> str:
    """On what a run's pixels depend besides its photographs, of what `<file>.json` tells.

    Args:
        path: FFCV's file, which need not be checked yet.

    Raises:
        UserError: It is missing, or holds no photographs.
    """
    facts = read_facts(path)
    for key in ("side", "jpeg_share", "jpeg_quality"):
        if not isinstance(facts.get(key), int | float):
            raise UserError("is missing: the file holds no photographs", file=facts_file(path), key=key)
    return f"FFCV, side {facts['side']}, JPEG share {facts['jpeg_share']}, JPEG quality {facts['jpeg_quality']}"


class FfcvPhotographLoader(PhotographLoader):
    """Batches of photographs out of a `.beton` file, varied. One epoch is read of a file at a time.

    The same photographs at the same places of an epoch, with the same chances, as `PhotographLoader` gives; crops lie
    where chance puts them in the photograph as it is stored.

    Args:
        file: The file, opened with the crop's side.
        numbers: Number in the file of each photograph.
        photographs: Their labels are taken; none is read.
        settings: As of `PhotographLoader`, but for `resize` and `workers`.

    Raises:
        UserError: As of `PhotographLoader`.
    """

    def __init__(
        self,
        file: FfcvFile,
        numbers: np.ndarray,  # int64 [N]
        photographs: Photographs,
        **settings: Any,
    ) -> None:
        super().__init__(photographs, **settings)
        if self.resize is not None:
            raise ValueError("FFCV decodes what is trained on alone")
        if file.crop != self.augmentation.crop:
            raise ValueError(f"a file opened for crops of {file.crop}, not {self.augmentation.crop}")
        if not np.array_equal(file.beton.labels[numbers], photographs.labels.numpy()):
            raise UserError("holds photographs in another order", file=file.beton.path, remedy="write it anew")
        self.file = file
        self.numbers = numbers
        self.copy = Copy(self.device)

    def boxes(self, crops: Crops) -> tuple[np.ndarray, np.ndarray]:
        """What this process decodes of an epoch.

        Returns:
            Numbers in the file, int64 [N], and left, top, right and bottom of each one's crop, int64 [N, 4].
        """
        numbers, boxes = [], []
        for batch in range(len(crops)):
            chosen = self.numbers[crops.order[crops.places(batch)].numpy()]
            stored = self.file.beton.samples["image"][chosen]
            widths, heights = stored["width"].astype(np.int64), stored["height"].astype(np.int64)
            numbers.append(chosen)
            boxes.append(crop_boxes(crops.chances(batch), widths, heights, self.augmentation))
        return np.concatenate(numbers), np.concatenate(boxes)

    def _decoded(self, crops: Crops) -> Iterator[Tensor]:
        numbers, boxes = self.boxes(crops)
        left, top, right, bottom = boxes.T
        places = crops.places(0)
        size = len(range(places.start, places.stop, places.step or 1))
        rows = np.column_stack([top, left, bottom - top, right - left])
        for pixels in self.file.decoded(numbers, size, rows):
            yield torch.from_numpy(pixels)

    def _on_device(self, pixels: Tensor) -> Tensor:
        return self.copy(pixels)
