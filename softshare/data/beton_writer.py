"""Writes FFCV's files: the same bytes for the same images, whoever writes them and whenever.

FFCV's own writer waits for ever after any fault in one of its processes, and with several of them lays images out in
another order each time. This one writes what FFCV 1.0.2 does with one process, byte for byte (tested).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from softshare.data.beton import (
    ALLOCATION,
    FIELD,
    FIELDS,
    HEADER,
    JPEG,
    RAW,
    SAMPLE,
    SAMPLES_START,
    VERSION,
    facts_file,
    read_structure,
    sha256,
)
from softshare.data.beton_images import Images, PixelImages, StoredImage
from softshare.data.own_process import LIMIT, Report, in_own_process
from softshare.errors import UserError
from softshare.files import remove_leftovers, require_writable, write_json, written_whole
from softshare.lock import locked

_CHUNK = 64
_AHEAD = 32  # chunks that are made at once, at most
# Photographs that are compared with their source after writing, evenly spread; of pixels in memory, all are.
_COMPARED = 1_000


@dataclass(frozen=True, eq=False)
class Content:
    """What a file is to hold.

    Attributes:
        dataset: Name of the dataset.
        fingerprint: Of the dataset.
        classes: Names of its classes, in the order of their labels.
        train: Images to train on.
        test: Images that error is measured on.
        labels: Classes of the first and then of the second.
    """

    dataset: str
    fingerprint: str
    classes: tuple[str, ...]
    train: Images
    test: Images
    labels: np.ndarray  # int64 [N + M]

    def __len__(self) -> int:
        return len(self.labels)

    def stored(self, index: int) -> StoredImage:
        """An image of either part, counted through."""
        count = len(self.train)
        return self.train.stored(index) if index < count else self.test.stored(index - count)

    def compared(self) -> list[int]:
        """Which images are held against their source after writing."""
        count = len(self)
        wanted = count if isinstance(self.train, PixelImages) else min(count, _COMPARED)
        return [number * count // wanted for number in range(wanted)]


def write_beton(
    path: Path, content: Content, *, limit: float = LIMIT, threads: int = 2, progress: bool = True
) -> dict[str, Any]:
    """Writes a file and `<file>.json` in a process of its own, and checks what lies there.

    Structure and SHA-256 are checked, every image whose pixels are in memory, and 1,000 photographs. Nothing appears
    under the file's name before that.

    Args:
        path: The file.
        content: What it is to hold.
        limit: Seconds within which something must get done, from one batch of images to the next.
        threads: Threads that encode photographs.
        progress: Whether to show a progress bar on a terminal.

    Returns:
        What `<file>.json` tells.

    Raises:
        UserError: The disk is full, the folder cannot be written, an image cannot be read, the time is over, or another
            process is writing the file.
    """
    if len(content.train) + len(content.test) != len(content.labels):
        raise UserError(f"{len(content.labels):,} labels for other images", file=path, key=content.dataset)
    require_writable(path.parent)
    with locked(path.with_name(f".{path.name}.lock"), path, "written"):
        remove_leftovers(path.parent, path.name)
        with written_whole(path) as temporary:
            facts = in_own_process(
                _write_and_check, temporary, content, threads,
                total=len(content) + len(content.compared()), label=f"writing {path.name}", limit=limit,
                progress=progress,
            )  # fmt: skip
        write_json(facts_file(path), facts)
    return facts


def _write_and_check(report: Report, file: Path, content: Content, threads: int) -> dict[str, Any]:
    try:
        with ThreadPoolExecutor(threads) as pool:
            with file.open("wb") as target:
                _write(target, content, _stored(content, range(len(content)), report, pool))
            facts = {
                "format_version": VERSION,
                "dataset": content.dataset,
                "fingerprint": content.fingerprint,
                "train": len(content.train),
                "test": len(content.test),
                "classes": list(content.classes),
                **content.train.settings(),
                "bytes": file.stat().st_size,
                "sha256": sha256(file, still_here=lambda: report(0)),
            }
            _compare(file, facts, content, report, pool)
    except OSError as error:
        raise UserError(
            f"cannot be written ({error.strerror or error})", file=file.parent, remedy="check the folder and the disk"
        ) from error
    return facts


def _stored(
    content: Content, indices: Sequence[int], report: Report, pool: ThreadPoolExecutor
) -> Iterator[StoredImage]:
    """The images in order, some made ahead by other threads, which Pillow lets run while it decodes."""

    def of_chunk(start: int) -> list[StoredImage]:
        return [content.stored(index) for index in indices[start : start + _CHUNK]]

    ahead = _CHUNK * _AHEAD
    for first in range(0, len(indices), ahead):
        for chunk in pool.map(of_chunk, range(first, min(first + ahead, len(indices)), _CHUNK)):
            yield from chunk
            report(len(chunk))


def _compare(file: Path, facts: dict[str, Any], content: Content, report: Report, pool: ThreadPoolExecutor) -> None:
    """Reads the file back and holds it against its source."""
    beton = read_structure(file, facts)
    found = beton.content()
    indices = content.compared()
    for index, image in zip(indices, _stored(content, indices, report, pool), strict=True):
        sample = beton.samples["image"][index]
        told = (int(sample["mode"]) == JPEG, int(sample["width"]), int(sample["height"]))
        if told != (image.jpeg, image.width, image.height) or beton.image(index, found).tobytes() != image.content:
            raise UserError(f"was not written as it should be: image {index} differs", file=file, remedy="a bad disk?")
    if not np.array_equal(beton.labels, content.labels):
        raise UserError("was not written as it should be: labels differ", file=file, remedy="a bad disk?")


def _write(target: BinaryIO, content: Content, images: Iterator[StoredImage]) -> None:
    page_size = max(content.train.page_size, content.test.page_size)
    samples = np.zeros(len(content), SAMPLE)
    table = np.zeros(len(content), ALLOCATION)
    samples["label"] = content.labels
    metadata_end = SAMPLES_START + samples.nbytes
    place = -(-metadata_end // page_size) * page_size
    target.seek(place)
    for number, image in enumerate(images):
        size = len(image.content)
        if size > page_size - place % page_size:
            place = _pad(target, place, page_size)
        target.write(image.content)
        samples["image"][number] = (JPEG if image.jpeg else RAW, image.width, image.height, place)
        table[number] = (number, place, size)
        place += size
    place = _pad(target, place, page_size)
    target.write(table.tobytes())
    fields = np.zeros(len(FIELDS), FIELD)
    for field, (kind, name) in zip(fields, FIELDS, strict=True):
        field["type"] = kind
        field["name"][: len(name)] = np.frombuffer(name.encode(), np.uint8)
    target.seek(0)
    target.write(np.array((VERSION, len(FIELDS), page_size, len(content), place), HEADER).tobytes())
    target.write(fields.tobytes())
    target.write(samples.tobytes())


def _pad(target: BinaryIO, place: int, page_size: int) -> int:
    """Fills the page up; the place of the next."""
    filled = -(-place // page_size) * page_size
    target.write(bytes(filled - place))
    return filled
