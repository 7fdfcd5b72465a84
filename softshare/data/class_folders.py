"""A dataset as image files: `train/<class>/<image>` and `test/<class>/<image>`."""

from __future__ import annotations

import io
from collections import defaultdict
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from softshare.data.archives import Files
from softshare.data.catalogue import Facts
from softshare.data.image_names import is_image
from softshare.data.splits import Splits
from softshare.errors import UserError, did_you_mean

SPLITS = ("train", "test")
_FORMATS = ("PNG", "JPEG", "BMP")


class _Place(NamedTuple):
    top: str
    split: str
    label: str


def is_class_image(name: str) -> bool:
    """Whether a path inside a source is an image in a class's folder, perhaps below one more top folder."""
    return _place(name) is not None


def decode_class_folders(files: Files, facts: Facts) -> tuple[Splits, str]:
    """Decodes all images, sorted by label and then by file name.

    One decoder, Pillow, reads them everywhere: two JPEG decoders may differ in the last bit. It has one
    thread, for more were no faster on images this small.

    Returns:
        The images, and the formats they were in, such as `JPEG`.

    Raises:
        UserError: A split or class is missing, unknown or of the wrong size, or an image is damaged.
    """
    names = _by_class(files, facts)
    formats: set[str] = set()
    parts: list[Tensor] = []
    for split in SPLITS:
        chosen = [name for label in facts.classes for name in sorted(names[split, label])]
        images = np.empty((len(chosen), 3, facts.side, facts.side), np.uint8)
        for row, name in enumerate(chosen):
            pixels, image_format = _decoded(files.contents[name], files.where(name), facts.side)
            images[row] = pixels.transpose(2, 0, 1)
            formats.add(image_format)
        labels = torch.arange(len(facts.classes)).repeat_interleave(facts.per_class(split))
        parts += [torch.from_numpy(images), labels]
    return Splits(*parts), " and ".join(sorted(formats))


def _by_class(files: Files, facts: Facts) -> dict[tuple[str, str], list[str]]:
    """The names of the images of each split and class, counted and found complete."""
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    tops = set()
    for name in files.contents:
        place = _place(name)
        assert place is not None  # only such files were read
        if place.label not in facts.classes:
            folder = files.where(str(PurePosixPath(name).parent))
            raise UserError("unknown class", file=folder, remedy=did_you_mean(place.label, facts.classes))
        tops.add(place.top)
        names[place.split, place.label].append(name)
    if len(tops) > 1:
        shown = " and ".join(repr(top or ".") for top in sorted(tops))
        raise UserError(f"holds class folders more than once, in {shown}", file=files.source, remedy="keep one")
    top = PurePosixPath(*tops)
    for split in SPLITS:
        if not any(place == split for place, _ in names):
            shown = files.where(str(top / split))
            raise UserError("no such folder, or no image in it", file=shown, remedy="both train/ and test/ are needed")
        for label in facts.classes:
            if not names[split, label]:
                shown = files.where(str(top / split / label))
                wanted = f"{facts.per_class(split):,} images of this class are needed"
                raise UserError("no such folder, or no image in it", file=shown, remedy=wanted)
        facts.check_counts(split, [len(names[split, label]) for label in facts.classes], files.source)
    return names


def _place(name: str) -> _Place | None:
    path = PurePosixPath(name)
    if len(path.parts) not in (3, 4) or not is_image(path.name):
        return None
    split, label = path.parts[-3:-1]
    return _Place("/".join(path.parts[:-3]), split, label) if split in SPLITS else None


def _decoded(content: bytes, where: str, side: int) -> tuple[np.ndarray, str]:
    """The pixels of an image, uint8 [H, W, 3], and its format."""
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            found = f"{image.width}x{image.height} {image.mode}"
            if found != f"{side}x{side} RGB":
                raise UserError(f"is an image of {found}, not {side}x{side} RGB", file=where)
            return np.asarray(image), str(image.format)
    except UserError:
        raise
    except Exception as error:  # a damaged image fails in any way there is
        reason = "" if isinstance(error, Image.UnidentifiedImageError) else f" ({error})"
        raise UserError(
            f"cannot be decoded{reason}", file=where, remedy=f"a PNG, JPEG or BMP of {side}x{side} is needed"
        ) from error
