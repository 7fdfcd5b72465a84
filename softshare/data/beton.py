"""FFCV's file format, `.beton`, version 2: how it is laid out, and whether a file is whole and what it says it is.

FFCV itself reads a file without looking: cut short by 24 bytes it yields wrong pixels, and sizes beyond the file end
in a crash. So nothing is read with it that has not been checked here, in plain numpy: the structure, and the SHA-256
that `softshare data write` left in `<file>.json`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from softshare.data.scratch import local_copy
from softshare.errors import UserError
from softshare.files import plain_file, read_json

VERSION = 2
RAW, JPEG = 1, 0
HEADER = np.dtype(
    [("version", "<u2"), ("fields", "<u2"), ("page_size", "<u4"), ("samples", "<u8"), ("table", "<u8")], align=True
)
FIELD = np.dtype([("type", "<u1"), ("name", "<u1", 16), ("arguments", "<u1", 1024)], align=True)
FIELDS = ((2, "image"), (1, "label"))  # type 2: an RGB image, type 1: a whole number
IMAGE = np.dtype([("mode", "<u1"), ("width", "<u2"), ("height", "<u2"), ("pointer", "<u8")])
SAMPLE = np.dtype([("image", IMAGE), ("label", "<i8")], align=True)
ALLOCATION = np.dtype([("sample", "<u8"), ("pointer", "<u8"), ("size", "<u8")])
SAMPLES_START = HEADER.itemsize + len(FIELDS) * FIELD.itemsize
SMALLEST_PAGE = 1 << 21
_PART = 1 << 22  # bytes that are read at once for the SHA-256
_FACTS: dict[str, type] = {
    "format_version": int, "dataset": str, "fingerprint": str, "train": int, "test": int, "classes": list,
    "bytes": int, "sha256": str,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Beton:
    """A file that was checked.

    Attributes:
        path: The file.
        facts: What `<file>.json` tells.
        samples: For each image its mode, size, place and label; those of training, then those of the test.
        sizes: Bytes of each image in the file.
    """

    path: Path
    facts: dict[str, Any]
    samples: np.ndarray  # SAMPLE [N]
    sizes: np.ndarray  # uint64 [N]

    @property
    def labels(self) -> np.ndarray:
        """Class of each image, int64 [N]."""
        return self.samples["label"]

    def content(self) -> np.ndarray:
        """The file's bytes, mapped: read where they are looked at."""
        return np.memmap(self.path, np.uint8, "r")

    def image(self, index: int, content: np.ndarray) -> np.ndarray:
        """The bytes of an image as they are stored: pixels row by row, or a JPEG."""
        start = int(self.samples["image"]["pointer"][index])
        return content[start : start + int(self.sizes[index])]


def facts_file(path: Path) -> Path:
    """Where what is known of a file is written."""
    return path.with_name(f"{path.name}.json")


def read_beton(path: Path, dataset: str, fingerprint: str) -> Beton:
    """Checks a file, or the node's own copy of it where it has one, and reads all of it but the images.

    The SHA-256 is taken anew each time and not kept: it costs a run 0.2 s for CIFAR and a minute or two for ImageNet,
    which then lies in the page cache; and a kept one would miss what changes neither size nor time, a failing disk.

    Args:
        path: The file.
        dataset: Name of the dataset that it must hold.
        fingerprint: Of that dataset.

    Raises:
        UserError: It is missing, truncated, altered, of another version or of another dataset.
    """
    facts = read_facts(path)
    if (facts["dataset"], facts["fingerprint"]) != (dataset, fingerprint):
        found, wanted = (f"{name} ({mark[:12]})" for name, mark in (_of(facts), (dataset, fingerprint)))
        raise UserError(f"holds {found}, not {wanted}", file=path, remedy=_remedy(path, dataset))
    copy = local_copy(path)
    if copy != path:
        # A copy that was damaged since is passed over; where its source is what is damaged, that is told below.
        with contextlib.suppress(UserError):
            return _checked(copy, dataset, facts)
    return _checked(path, dataset, facts)


def _checked(path: Path, dataset: str, facts: dict[str, Any]) -> Beton:
    beton = read_structure(path, facts)
    if sha256(path, progress=True) != facts["sha256"]:
        raise UserError(f"is not the file that {facts_file(path).name} tells of: it was altered", file=path,
                        key="sha256", value=facts["sha256"][:12], remedy=_remedy(path, dataset))  # fmt: skip
    return beton


def read_structure(path: Path, facts: dict[str, Any]) -> Beton:
    """Reads and checks everything but the images' own bytes.

    Raises:
        UserError: The file cannot be read, or anything in it points where nothing can lie.
    """
    try:
        size = plain_file(path).stat().st_size
        if size != facts["bytes"]:
            remedy = "is it truncated?" if size < facts["bytes"] else "was something added to it?"
            raise UserError(f"has {size:,} bytes, not {facts['bytes']:,}", file=path, remedy=remedy)
        with path.open("rb") as file:
            header = _read(file, HEADER, 1, path)[0]
            count = int(header["samples"])
            if int(header["version"]) != VERSION:
                raise UserError("is of another format version", file=path, key="version", value=int(header["version"]),
                                remedy=f"{VERSION} is known")  # fmt: skip
            _require(int(header["fields"]) == len(FIELDS), "has other fields than image and label", path)
            _check_fields(_read(file, FIELD, len(FIELDS), path), path)
            _require(count == facts["train"] + facts["test"] > 0, f"holds {count:,} images", path)
            table = int(header["table"])
            _require(SAMPLES_START + count * SAMPLE.itemsize <= table, "has its table where images lie", path)
            _require(table + count * ALLOCATION.itemsize == size, "has no table of all its images at its end", path)
            samples = _read(file, SAMPLE, count, path)
            file.seek(table)
            allocations = _read(file, ALLOCATION, count, path)
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})", file=path) from error
    sizes = _check_places(samples, allocations, int(header["page_size"]), table, path)
    _require(((samples["label"] >= 0) & (samples["label"] < len(facts["classes"]))).all(), "has an unknown class", path)
    return Beton(path, facts, samples, sizes)


def sha256(path: Path, progress: bool = False, still_here: Callable[[], object] = lambda: None) -> str:
    """SHA-256 of a file, with a progress bar on a terminal if it is a large one.

    Args:
        path: The file.
        progress: Whether to show the bar.
        still_here: Called after each part that was read: of a large file all of them take longer than time limits.

    Raises:
        UserError: It cannot be read.
    """
    digest = hashlib.sha256()
    try:
        size = plain_file(path).stat().st_size
        silent = not progress or size < 1 << 32
        with path.open("rb") as file, tqdm(total=size, unit="B", unit_scale=True, desc=f"checking {path.name}",
                                           leave=False, disable=silent or None) as bar:  # fmt: skip
            while chunk := file.read(_PART):
                digest.update(chunk)
                bar.update(len(chunk))
                still_here()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})", file=path) from error
    return digest.hexdigest()


def read_facts(path: Path) -> dict[str, Any]:
    """What `<file>.json` tells of a file, which is not read.

    Raises:
        UserError: One of the two is missing, or something that has to be told is.
    """
    if not path.is_file():
        raise UserError("no such file", file=path, remedy="softshare data write DATASET --out FILE makes it")
    told = facts_file(path)
    facts = read_json(told)
    for key, kind in _FACTS.items():
        value = facts.get(key) if isinstance(facts, dict) else None
        if not isinstance(value, kind) or (isinstance(value, int) and value < 0):
            raise UserError("is missing or no such thing as `softshare data write` leaves", file=told, key=key)
    if facts["format_version"] != VERSION:
        raise UserError("is of another format version", file=path, key="format_version", value=facts["format_version"],
                        remedy=f"{VERSION} is known")  # fmt: skip
    return facts


def _read(file: Any, kind: np.dtype, count: int, path: Path) -> np.ndarray:
    content = file.read(kind.itemsize * count)
    _require(len(content) == kind.itemsize * count, "ends too early", path)
    return np.frombuffer(content, kind)


def _check_fields(fields: np.ndarray, path: Path) -> None:
    for field, (kind, name) in zip(fields, FIELDS, strict=True):
        found = field["name"].tobytes().rstrip(b"\0")
        fits = int(field["type"]) == kind and found == name.encode() and not field["arguments"].any()
        _require(fits, "has other fields than image and label", path)


def _check_places(samples: np.ndarray, table: np.ndarray, page_size: int, end: int, path: Path) -> np.ndarray:
    """Checks that each image lies whole in a place of its own.

    Returns:
        The bytes of each, uint64 [N].
    """
    count = len(samples)
    _require(page_size >= SMALLEST_PAGE and page_size & (page_size - 1) == 0, f"has pages of {page_size:,} bytes", path)
    _require(np.array_equal(np.sort(table["sample"]), np.arange(count)), "has no place for each of its images", path)
    by_sample = table[np.argsort(table["sample"])]
    pointers, sizes = by_sample["pointer"], by_sample["size"]
    images = samples["image"]
    _require(np.array_equal(pointers, images["pointer"]), "has two places for one image", path)
    # Each bound by itself: a sum of absurd numbers would wrap around.
    inside = (pointers >= SAMPLES_START + count * SAMPLE.itemsize) & (pointers < end) & (sizes > 0) & (sizes < end)
    _require((inside & (sizes <= end - np.where(inside, pointers, 0))).all(), "has an image beyond its end", path)
    order = np.argsort(pointers)
    ends = (pointers + sizes)[order]
    _require((ends[:-1] <= pointers[order][1:]).all(), "has images that lie over one another", path)
    _require((pointers // page_size == (pointers + sizes - 1) // page_size).all(), "has an image on two pages", path)
    _require(np.isin(images["mode"], (RAW, JPEG)).all(), "has an image in an unknown form", path)
    pixels = images["width"].astype(np.uint64) * images["height"]
    raw = images["mode"] == RAW
    _require((pixels > 0).all() and (sizes[raw] == 3 * pixels[raw]).all(), "has an image of another size", path)
    return sizes


def _require(holds: Any, problem: str, path: Path) -> None:
    if not holds:
        raise UserError(problem, file=path, remedy="it is damaged, or was not written by `softshare data write`")


def _of(facts: dict[str, Any]) -> tuple[str, str]:
    return facts["dataset"], facts["fingerprint"]


def _remedy(path: Path, dataset: str) -> str:
    return f"softshare data write {dataset} --out {path} makes it anew"
