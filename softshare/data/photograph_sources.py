"""Where photographs lie and in what form: class folders with or without splits, or ILSVRC 2012 as it is distributed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from softshare.data.ilsvrc import TRAIN_TAR, VALIDATION_TAR, validation_synsets
from softshare.data.photograph_index import Index, index_of, index_of_tars
from softshare.errors import UserError

TRAIN, VALIDATION = "train", "validation"
_FOLDERS = {"train": TRAIN, "val": VALIDATION, "validation": VALIDATION}
_FLAT_NAME = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")


@dataclass(frozen=True)
class Labelled:
    """Photographs whose classes are known by name.

    Attributes:
        index: The files.
        rows: Number of each in the index.
        labels: Name of the class of each.
    """

    index: Index
    rows: list[int]
    labels: list[str]


@dataclass(frozen=True)
class Found:
    """A dataset found.

    Attributes:
        splits: `train` and `validation`, or `train` alone where there is but one level of class folders.
        form: What lies there, in words.
    """

    splits: dict[str, Labelled]
    form: str


def find_photographs(path: Path) -> Found:
    """Finds the photographs at a path.

    These are `train/<class>/*` and `val/<class>/*`, or `<class>/*` alone, in a folder or in a tar archive, perhaps
    below one more folder; or a folder with ILSVRC 2012's own archives (`ILSVRC2012_img_train.tar`,
    `ILSVRC2012_img_val.tar` and the development kit), one or both of which may be unpacked.

    Raises:
        UserError: There are none, or a file cannot be read.
    """
    if not path.exists():
        raise UserError("no such file or folder", file=path)
    if path.is_dir() and ((path / TRAIN_TAR).is_file() or (path / VALIDATION_TAR).is_file()):
        return _distributed(path)
    index = index_of(path)
    rooms = list(_rooms(index.paths))
    by_split = {split: _labelled(index, rooms, split) for split in (TRAIN, VALIDATION, None)}
    splits = {split: found for split, found in by_split.items() if split and found.rows}
    if not splits and by_split[None].rows:  # one level of class folders
        _require_one_top(index, by_split[None].rows, 2)
        return Found({TRAIN: by_split[None]}, f"class folders in {_name(path)}")
    _require_one_top(index, [row for found in splits.values() for row in found.rows], 3)
    if VALIDATION not in splits and (flat := _flat_validation(index, path)):
        splits[VALIDATION] = flat
    if TRAIN not in splits:
        remedy = "train/<class>/* and val/<class>/*, or <class>/* alone, are needed"
        raise UserError("holds no photographs to train on", file=path, remedy=remedy)
    return Found(splits, f"class folders by split in {_name(path)}")


def _distributed(folder: Path) -> Found:
    splits = {}
    if (folder / TRAIN_TAR).is_file():
        index = index_of_tars(folder / TRAIN_TAR)
        splits[TRAIN] = Labelled(index, list(range(len(index.paths))), [path.split("/")[0] for path in index.paths])
    elif (folder / "train").is_dir():
        splits[TRAIN] = _class_folders(folder / "train")
    if (folder / VALIDATION_TAR).is_file():
        index = index_of(folder / VALIDATION_TAR)
        if flat := _flat_validation(index, folder):
            splits[VALIDATION] = flat
    elif (folder / "val").is_dir():
        index = index_of(folder / "val")
        splits[VALIDATION] = _flat_validation(index, folder) or _class_folders(folder / "val")
    if not splits.get(TRAIN) or not splits[TRAIN].rows:
        remedy = f"{TRAIN_TAR}, or train/<synset>/*, is needed beside {VALIDATION_TAR}"
        raise UserError("holds no photographs to train on", file=folder, remedy=remedy)
    return Found(splits, f"ILSVRC 2012 as distributed in {_name(folder)}")


def _class_folders(folder: Path) -> Labelled:
    index = index_of(folder)
    rows = [row for row, path in enumerate(index.paths) if path.count("/") == 1]
    return Labelled(index, rows, [index.paths[row].split("/")[0] for row in rows])


def _rooms(paths: Iterable[str]) -> Iterator[tuple[str | None, str]]:
    """Split and class of each path; no split where only a class is told, no class where the photograph lies in none."""
    for path in paths:
        parts = PurePosixPath(path).parts
        split = _FOLDERS.get(parts[-3]) if len(parts) in (3, 4) else None
        if split:
            yield split, parts[-2]
        elif len(parts) in (2, 3) and parts[-2] not in _FOLDERS:
            yield None, parts[-2]
        else:
            yield None, ""


def _labelled(index: Index, rooms: list[tuple[str | None, str]], split: str | None) -> Labelled:
    rows = [row for row, (room, label) in enumerate(rooms) if room == split and label]
    return Labelled(index, rows, [rooms[row][1] for row in rows])


def _flat_validation(index: Index, path: Path) -> Labelled | None:
    """ILSVRC 2012's validation photographs where they lie in no folders of classes; None where there are none."""
    numbers = {row: match for row, path in enumerate(index.paths) if (match := _FLAT_NAME.fullmatch(Path(path).name))}
    rows = [row for row in numbers if Path(index.paths[row]).parent.name in ("", "val", "validation")]
    if not rows:
        return None
    synsets = validation_synsets(path if path.is_dir() else path.parent)
    labels = []
    for row in rows:
        number = int(numbers[row][1])
        if not 1 <= number <= len(synsets):
            where = index.store.where(row)
            raise UserError(f"the development kit knows {len(synsets):,} validation photographs", file=where)
        labels.append(synsets[number - 1])
    return Labelled(index, rows, labels)


def _require_one_top(index: Index, rows: list[int], levels: int) -> None:
    """Refuses photographs that lie, `levels` parts up, in more than one folder."""
    tops = sorted({"/".join(PurePosixPath(index.paths[row]).parts[:-levels]) or "." for row in rows})
    if len(tops) > 1:
        shown = " and ".join(map(repr, tops[:3]))
        raise UserError(f"holds class folders more than once, in {shown}", file=index.source, remedy="give one of them")


def _name(path: Path) -> str:
    return path.resolve().name
