"""Sets of photographs by name: ImageNet, and class folders of one's own."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from softshare.data.ilsvrc import PhotographFacts, ilsvrc_facts
from softshare.data.ilsvrc_checks import check_ilsvrc
from softshare.data.images import place_of
from softshare.data.loaders import WHOLE, Part
from softshare.data.photograph_checks import (
    Damage,
    KeptChecks,
    check_complete,
    check_known,
    find_damaged,
    tried_again,
)
from softshare.data.photograph_sources import TRAIN, VALIDATION, Found, Labelled, find_photographs
from softshare.data.photographs import Photographs, PhotographSet, fingerprint_of
from softshare.errors import UserError, did_you_mean
from softshare.names import PHOTOGRAPHS

# Of the photographs of each class, where a set has no validation split.
HELD_OUT = 0.1

# By split and number, what is wrong with a photograph.
_Damaged = dict[str, dict[int, Damage]]


def load_photographs(
    name: str,
    path: str | Path | None = None,
    *,
    limit: int = 0,
    allow_damaged: bool = False,
    cache: Path | None = None,
    workers: int = 0,
    progress: bool = False,
    part: Part = WHOLE,
    gather: Callable[[Any], list[Any]] = lambda value: [value],
) -> PhotographSet:
    """Finds a set of photographs and checks it: names, counts, and that every file decodes.

    The decoding of all files is done once for a set whose check is kept in `cache`. Of several processes that need the
    set at once, each decodes its part of them.

    Args:
        name: `imagenet`, or `folder` for any other set in class folders.
        path: See `find_photographs` and, where it is None, `place_of`.
        limit: Photographs of each split, for trials; 0 = all. ImageNet may then be incomplete.
        allow_damaged: Leave out what cannot be read or decoded in place of refusing the set.
        cache: Folder in which to keep what was found damaged; None keeps nothing.
        workers: Processes that decode.
        progress: Whether to show a progress bar on a terminal.
        part: What this process checks.
        gather: Gives what each of these processes gave.

    Raises:
        UserError: An unknown name, or photographs that are missing, of unknown classes or damaged; it names the file.
            Or another process found another set.
    """
    if name not in PHOTOGRAPHS:
        raise UserError("unknown dataset", key="dataset", value=name, remedy=did_you_mean(name, PHOTOGRAPHS))
    for key, value in (("limit", limit), ("workers", workers)):
        if value < 0:
            raise UserError("must be 0 or more", key=key, value=value)
    path = _existing_place(name, path)
    facts = ilsvrc_facts() if name == "imagenet" else None
    found = find_photographs(path)
    _require_text(found, path)
    classes = _classes(found, facts, path)
    if facts and not limit:
        check_ilsvrc(facts, found.splits, path)
        check_complete(facts, {split: part.labels for split, part in found.splits.items()}, path)
    splits, notes = _splits(found, classes, limit, path)
    if limit:
        notes += [f"limited to {limit:,} photographs a split: {_told(splits)}"]
        splits = {split: part.spread(limit) for split, part in splits.items()}
    as_found, fingerprint = _fingerprints(splits, classes)
    kept = KeptChecks(cache, as_found)
    told = gather((as_found, kept.read()))
    if len({fingerprint for fingerprint, _ in told}) > 1:
        remedy = "all of them need the same photographs, and leave to read them"
        raise UserError("is not the same set for all processes of the run", file=path, remedy=remedy)
    before = next((found for _, found in told if found is not None), None)
    damaged = _together(gather(_damaged(splits, before, part, workers, progress)))
    if before != damaged and part.index == 0:
        kept.write(damaged)
    lost = tuple(splits[split].where(row) for split, rows in damaged.items() for row in rows)
    if lost:
        if not allow_damaged:
            raise _refusal(splits, damaged, len(lost))
        splits = {split: _without(part, damaged[split]) for split, part in splits.items()}
        unreadable = any(damage.unreadable for rows in damaged.values() for damage in rows.values())
        notes += [f"{len(lost):,} photographs that cannot be {'read or ' * unreadable}decoded are left out"]
    if lost or fingerprint is None:
        fingerprint = fingerprint_of(splits[TRAIN], splits[VALIDATION], classes)
    for split, photographs in splits.items():
        if not len(photographs):
            raise UserError(f"holds no {split} photographs that can be used", file=path)
    train, validation = splits[TRAIN], splits[VALIDATION]
    return PhotographSet(name, train, validation, classes, found.form, fingerprint, tuple(notes), lost)


def _existing_place(name: str, path: str | Path | None) -> Path:
    place = place_of(name, path)
    if not place.exists():
        remedy = f"set data.{name} or --data" + (": it cannot be downloaded" if name == "imagenet" else "")
        raise UserError("no such file or folder", file=place, remedy=remedy)
    return place


def _require_text(found: Found, path: Path) -> None:
    """Refuses names that no manifest could be written with."""
    for part in found.splits.values():
        try:
            "".join(part.index.paths).encode()
        except UnicodeEncodeError as error:
            name = next(name for name in part.index.paths if error.object[error.start] in name)
            raise UserError("a name is no UTF-8", file=path, value=name, remedy="rename that file or folder") from None


def _classes(found: Found, facts: PhotographFacts | None, path: Path) -> tuple[str, ...]:
    classes = facts.classes if facts else tuple(sorted(set(found.splits[TRAIN].labels)))
    for part in found.splits.values():
        check_known(classes, part.labels, path)
    if len(classes) < 2:
        raise UserError("has one class: nothing to tell apart", file=path, value=classes[0])
    return classes


def _splits(found: Found, classes: tuple[str, ...], limit: int, path: Path) -> tuple[dict[str, Photographs], list[str]]:
    """The splits, one of them held out where there is none, and what is to be said of that."""
    splits = {split: _photographs(part, classes) for split, part in found.splits.items()}
    if VALIDATION in splits:
        return splits, []
    held_out = _held_out(splits[TRAIN])
    if held_out.any():
        rows = np.arange(len(held_out))
        validation = splits[TRAIN].select(rows[held_out])
        note = f"no validation split: {len(validation):,} photographs, a tenth of each class, are held out as one"
        return {TRAIN: splits[TRAIN].select(rows[~held_out]), VALIDATION: validation}, [note]
    if not limit:
        problem = "has no validation split, and no class has two photographs, one of them to hold out"
        raise UserError(
            problem, file=path, remedy="add val/<class>/*, or try with --limit N on the training photographs"
        )
    note = "no validation split, and one photograph a class: errors are measured on the training photographs themselves"
    return splits | {VALIDATION: splits[TRAIN]}, [note]


def _photographs(part: Labelled, classes: tuple[str, ...]) -> Photographs:
    number = {name: index for index, name in enumerate(classes)}
    labels = [number[name] for name in part.labels]
    names = [PurePosixPath(part.index.paths[row]).name for row in part.rows]
    order = sorted(range(len(labels)), key=lambda place: (labels[place], names[place]))
    rows = np.array([part.rows[place] for place in order], np.int64)
    paths = tuple(part.index.paths[row] for row in rows)
    return Photographs(paths, torch.tensor([labels[place] for place in order]), part.index.store.select(rows))


def _held_out(split: Photographs) -> np.ndarray:
    """Which photographs to hold out, bool [N]: a tenth of each class, by their names alone, so always the same."""
    of_class: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for row, (path, label) in enumerate(zip(split.paths, split.labels.tolist(), strict=True)):
        of_class[label].append((hashlib.sha256(PurePosixPath(path).name.encode()).hexdigest(), row))
    chosen = np.zeros(len(split), bool)
    for rows in of_class.values():
        count = max(1, round(HELD_OUT * len(rows))) if len(rows) > 1 else 0
        chosen[[row for _, row in sorted(rows)[:count]]] = True
    return chosen


def _fingerprints(splits: dict[str, Photographs], classes: tuple[str, ...]) -> tuple[str, str | None]:
    """That of the set whatever is damaged in it, and that of the set; None where a file cannot be read."""
    train, validation = splits[TRAIN], splits[VALIDATION]
    try:
        fingerprint = fingerprint_of(train, validation, classes)
    except UserError:
        return fingerprint_of(train, validation, classes, allow_unreadable=True), None
    return fingerprint, fingerprint


def _damaged(
    splits: dict[str, Photographs], before: _Damaged | None, part: Part, workers: int, progress: bool
) -> _Damaged:
    """What is damaged in a part of the photographs; of what was found before, what still is.

    Where nodes have copies of their own, each is looked at in part: damage in the rest of a copy shows in training.
    """
    damaged = {}
    for split, photographs in splits.items():
        if before is not None:
            mine = dict(list(before[split].items())[part.within(0, len(before[split]))])
            damaged[split] = tried_again(photographs, mine, workers, progress)
            continue
        rows = range(len(photographs))[part.within(0, len(photographs))]
        found = find_damaged(photographs.select(rows), workers, progress)
        damaged[split] = {rows[place]: damage for place, damage in found.items()}
    return damaged


def _together(parts: list[_Damaged]) -> _Damaged:
    """What all processes found, in the order of the photographs."""
    found: _Damaged = {split: {} for split in parts[0]}
    for split, rows in found.items():
        for part in parts:
            rows |= part[split]
        found[split] = dict(sorted(rows.items()))
    return found


def _refusal(splits: dict[str, Photographs], damaged: _Damaged, count: int) -> UserError:
    """Names the first damaged photograph, and counts the others."""
    split, row, damage = next((split, row, each) for split, rows in damaged.items() for row, each in rows.items())
    more = ", nor can {:,} more" if damage.problem.startswith("cannot be ") else ", and {:,} more are damaged"
    others = more.format(count - 1) if count > 1 else ""
    remedy = "mend the set, or leave them out with --allow-damaged, which lists them in the manifest"
    return UserError(f"{damage.problem}{others}", file=splits[split].where(row), remedy=remedy)


def _without(split: Photographs, damaged: dict[int, Damage]) -> Photographs:
    return split.select([row for row in range(len(split)) if row not in damaged]) if damaged else split


def _told(splits: dict[str, Photographs]) -> str:
    return ", ".join(f"{len(part):,} in {split}" for split, part in splits.items())
