"""ImageNet (ILSVRC 2012): its synsets and counts, and what its development kit says of the validation photographs."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softshare.data.archives import read_archive, read_folder
from softshare.errors import UserError

TRAIN_TAR = "ILSVRC2012_img_train.tar"
VALIDATION_TAR = "ILSVRC2012_img_val.tar"
_DEVKIT = "ILSVRC2012_devkit_t12"
_TRUTH, _META = "data/ILSVRC2012_validation_ground_truth.txt", "data/meta.mat"


@dataclass(frozen=True)
class PhotographFacts:
    """What is known of a set of photographs beforehand.

    Attributes:
        classes: Names of the classes, in the order of their labels.
        train: Training photographs in all.
        validation: Validation photographs in all.
    """

    classes: tuple[str, ...]
    train: int
    validation: int


@functools.cache
def ilsvrc_facts() -> PhotographFacts:
    """Those of ILSVRC 2012: 1,000 synsets, sorted by their WordNet ids as everybody labels them."""
    from timm.data import ImageNetInfo  # here, for it takes seconds

    return PhotographFacts(tuple(sorted(ImageNetInfo("imagenet-1k").label_names())), train=1_281_167, validation=50_000)


@dataclass(frozen=True)
class DevelopmentKit:
    """What ILSVRC 2012's development kit tells.

    Attributes:
        source: Where it lies.
        validation: The synset of each validation photograph, by its number from 1.
        train: Training photographs of each synset; empty where it tells none.
    """

    source: Path
    validation: list[str]
    train: dict[str, int]


def validation_synsets(folder: Path) -> list[str]:
    """The synset of each validation photograph, by its number from 1, as the development kit tells it.

    Args:
        folder: See `development_kit`.

    Raises:
        UserError: There is no kit, or it is damaged.
    """
    if kit := development_kit(folder):
        return kit.validation
    raise UserError(
        "the validation photographs lie flat, and nothing tells their classes",
        file=folder,
        remedy=f"put {_DEVKIT}.tar.gz there, or sort them into val/<synset>/",
    )


def development_kit(folder: Path) -> DevelopmentKit | None:
    """Reads the development kit; None where there is none.

    The validation photographs come in one flat archive. Their labels stand in the kit as numbers of its own, which
    its table of synsets turns into WordNet ids.

    Args:
        folder: Where `ILSVRC2012_devkit_t12.tar.gz` lies, or that folder unpacked.

    Raises:
        UserError: It is damaged.
    """
    found = _devkit(folder)
    if found is None:
        return None
    from scipy.io import loadmat  # slow to import, and few runs need it

    source, truth, meta = found
    try:
        table: Any = loadmat(io.BytesIO(meta), squeeze_me=True, variable_names=["synsets"])["synsets"]
        synsets = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in table}
        counted = "num_train_images" in table.dtype.names
        train = {str(row["WNID"]): int(row["num_train_images"]) for row in table} if counted else {}
        return DevelopmentKit(source, [synsets[int(line)] for line in truth.decode("ascii").split()], train)
    except Exception as error:  # a damaged .mat file fails in any way there is
        reason = " ".join(f"{type(error).__name__} {error}".split())
        raise UserError(f"the labels cannot be read ({reason})", file=source, remedy="is it truncated?") from error


def _devkit(folder: Path) -> tuple[Path, bytes, bytes] | None:
    """Where the kit lies, its ground truth, its table of synsets; None where there is none."""
    for root in (folder / _DEVKIT, folder):
        if (root / _TRUTH).is_file() and (root / _META).is_file():
            files = read_folder(root, (_TRUTH, _META), lambda name: True)
            return root, files.contents[_TRUTH], files.contents[_META]
    for archive in (folder / f"{_DEVKIT}.tar.gz", folder / f"{_DEVKIT}.tar"):
        if archive.is_file():
            files = read_archive(archive, lambda name: name.endswith((_TRUTH, _META)))
            found = {name.rpartition("data/")[2]: content for name, content in files.contents.items()}
            missing = [name for name in (_TRUTH, _META) if Path(name).name not in found]
            if missing:
                raise UserError(f"holds no {missing[0]}", file=archive, remedy="is it the kit of tasks 1 and 2?")
            return archive, found[Path(_TRUTH).name], found[Path(_META).name]
    return None
