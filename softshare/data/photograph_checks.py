"""Checks of photographs: are all classes and counts there, and does every file decode?"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import PIL
import torch
from PIL import Image
from torch.utils.data import Dataset
from tqdm import tqdm

from softshare.data.ilsvrc import PhotographFacts
from softshare.data.loading_processes import loaded, with_processes
from softshare.data.photograph_decoding import decoded
from softshare.data.photographs import Photographs
from softshare.errors import UserError, did_you_mean
from softshare.files import read_json, write_json

_CHUNK = 64


class Damage(NamedTuple):
    """What is wrong with a photograph.

    Attributes:
        problem: In words, such as `cannot be decoded (unknown format)`.
        unreadable: Whether its bytes could not be read: they may be sound, and be read another time.
    """

    problem: str
    unreadable: bool


def check_complete(facts: PhotographFacts, splits: dict[str, list[str]], source: Path) -> None:
    """Checks that each class has photographs in each split, and that all are as many as there should be.

    Args:
        facts: What is known of the set.
        splits: `train` and `validation`: the class of each photograph.
        source: Named in an error.

    Raises:
        UserError: A class is missing, or there are too few or too many.
    """
    for split, wanted in (("train", facts.train), ("validation", facts.validation)):
        counts = Counter(splits.get(split, ()))
        missing = [name for name in facts.classes if not counts[name]]
        if missing:
            shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            remedy = "is it incomplete? --limit N trains on part of a set, for trials"
            problem = f"has no {split} photographs of {len(missing):,} of {len(facts.classes):,} classes ({shown})"
            raise UserError(problem, file=source, remedy=remedy)
        if counts.total() != wanted:
            remedy = "is it incomplete?" if counts.total() < wanted else "are there others among them?"
            raise UserError(f"has {counts.total():,} {split} photographs, not {wanted:,}", file=source, remedy=remedy)


def check_known(classes: tuple[str, ...], labels: list[str], source: Path) -> None:
    """Refuses photographs of a class that is none of these.

    Raises:
        UserError: It names the class.
    """
    known = set(classes)
    for label in sorted(set(labels) - known):
        remedy = did_you_mean(label, classes)
        if remedy.startswith("known:") and len(classes) > 20:
            remedy = f"there are {len(classes):,}, such as {classes[0]!r}"
        raise UserError("unknown class", file=source, value=label, remedy=remedy)


def find_damaged(split: Photographs, workers: int = 0, progress: bool = False) -> dict[int, Damage]:
    """Reads and decodes every photograph of a split.

    Returns:
        By their numbers, those that cannot be read or decoded, and why.

    Raises:
        UserError: As of `loaded`.
    """
    chunks = _Chunks(split)
    loader = with_processes(chunks, range(len(chunks)), workers, torch.device("cpu"))
    found: dict[int, Damage] = {}
    with tqdm(total=len(split), unit="img", desc="checking", leave=False, disable=not progress or None) as bar:
        for part in loaded(loader):
            found |= part
            bar.update(_CHUNK)
    return found


def tried_again(
    split: Photographs, found: dict[int, Damage], workers: int = 0, progress: bool = False
) -> dict[int, Damage]:
    """What is still wrong of what was found before: those that could not be read are read and decoded once more."""
    rows = [row for row, damage in found.items() if damage.unreadable]
    now = find_damaged(split.select(rows), workers, progress) if rows else {}
    still = {rows[place]: damage for place, damage in now.items()}
    return {row: still.get(row, damage) for row, damage in found.items() if row in still or not damage.unreadable}


class KeptChecks:
    """What checking found, kept in a folder so that a set is decoded once.

    Args:
        folder: The folder; None keeps nothing.
        fingerprint: Of the set, whatever is damaged in it included.
    """

    def __init__(self, folder: Path | None, fingerprint: str) -> None:
        key = hashlib.sha256(f"{fingerprint} {PIL.__version__}".encode()).hexdigest()
        self.file = folder / f"damaged-{key[:16]}.json" if folder else None

    def read(self) -> dict[str, dict[int, Damage]] | None:
        """By split, what was found before; None if nothing is kept."""
        if self.file is None or not self.file.is_file():
            return None
        try:
            kept = read_json(self.file)
            return {
                split: {int(row): Damage(str(problem), bool(unread)) for row, (problem, unread) in kept[split].items()}
                for split in ("train", "validation")
            }
        except (UserError, KeyError, TypeError, ValueError, AttributeError):
            return None

    def write(self, found: dict[str, dict[int, Damage]]) -> None:
        """Keeps what was found.

        Raises:
            UserError: The folder cannot be written.
        """
        if self.file is not None:
            write_json(self.file, found)


class _Chunks(Dataset):
    def __init__(self, split: Photographs) -> None:
        self.split = split

    def __len__(self) -> int:
        return -(-len(self.split) // _CHUNK)

    def __getitem__(self, chunk: int) -> dict[int, Damage]:
        if chunk >= len(self):
            raise IndexError
        return dict(self._damaged(range(chunk * _CHUNK, min(len(self.split), (chunk + 1) * _CHUNK))))

    def _damaged(self, rows: range) -> Iterator[tuple[int, Damage]]:
        for row in rows:
            try:
                content = self.split.read(row)
            except UserError as error:
                where = " ".join(self.split.where(row).split())
                yield row, Damage(str(error).removeprefix(f"{where}: "), True)
                continue
            try:
                decoded(content)
            except Exception as error:  # a damaged image fails in any way there is
                reason = "unknown format" if isinstance(error, Image.UnidentifiedImageError) else str(error)
                reason = " ".join(reason.split()) or type(error).__name__
                yield row, Damage(f"cannot be decoded ({reason})", False)
