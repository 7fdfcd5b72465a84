"""Checks of photographs: are all classes and counts there, and does every file decode?"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

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


def find_damaged(split: Photographs, workers: int = 0, progress: bool = False) -> dict[int, str]:
    """Decodes every photograph of a split.

    Returns:
        By their numbers, those that cannot be decoded, and why.

    Raises:
        UserError: As of `loaded`.
    """
    chunks = _Chunks(split)
    loader = with_processes(chunks, range(len(chunks)), workers, torch.device("cpu"))
    found: dict[int, str] = {}
    with tqdm(total=len(split), unit="img", desc="checking", leave=False, disable=not progress or None) as bar:
        for part in loaded(loader):
            found |= part
            bar.update(_CHUNK)
    return found


class KeptChecks:
    """What checking found, kept in a folder so that a set is decoded once.

    Args:
        folder: The folder; None keeps nothing.
        fingerprint: Of the set, whatever is damaged in it included.
    """

    def __init__(self, folder: Path | None, fingerprint: str) -> None:
        key = hashlib.sha256(f"{fingerprint} {PIL.__version__}".encode()).hexdigest()
        self.file = folder / f"damaged-{key[:16]}.json" if folder else None

    def read(self) -> dict[str, dict[int, str]] | None:
        """By split, what was found before; None if nothing is kept."""
        if self.file is None or not self.file.is_file():
            return None
        try:
            kept = read_json(self.file)
            return {
                split: {int(row): str(why) for row, why in kept[split].items()} for split in ("train", "validation")
            }
        except (UserError, KeyError, TypeError, ValueError, AttributeError):
            return None

    def write(self, found: dict[str, dict[int, str]]) -> None:
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

    def __getitem__(self, chunk: int) -> dict[int, str]:
        if chunk >= len(self):
            raise IndexError
        return dict(self._damaged(range(chunk * _CHUNK, min(len(self.split), (chunk + 1) * _CHUNK))))

    def _damaged(self, rows: range) -> Iterator[tuple[int, str]]:
        for row in rows:
            try:
                decoded(self.split.read(row))
            except Exception as error:  # a damaged image fails in any way there is
                reason = "unknown format" if isinstance(error, Image.UnidentifiedImageError) else str(error)
                yield row, " ".join(reason.split()) or type(error).__name__
