"""Where a dataset lies and in what form; it is downloaded if it lies nowhere."""

from __future__ import annotations

import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from softshare.data.archives import Files, read_archive, read_folder, wanted_paths
from softshare.data.catalogue import FACTS, BatchFiles, Facts
from softshare.data.cifar_batches import decode_batches, is_batch
from softshare.data.class_folders import SPLITS, decode_class_folders, is_class_image
from softshare.data.splits import Splits
from softshare.errors import UserError

_ARCHIVES = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True)
class Source:
    """A dataset found.

    Attributes:
        path: The archive, or the folder that holds the batches or `train/` and `test/`.
        form: What lies there.
        facts: What is known of the dataset.
    """

    path: Path
    form: Literal["archive", "batches", "class folders"]
    facts: Facts

    def files(self) -> list[Path]:
        """The files that reading it opens, sorted."""
        return [self.path] if self.form == "archive" else wanted_paths(self.path, self._patterns(), self._wants)

    def read(self) -> tuple[Splits, str]:
        """The images, and a line that says where they came from and in what form.

        Raises:
            UserError: Anything is missing or damaged; it names the file.
        """
        files = self._content()
        place = self.path.resolve().name
        if batches := {name: files.contents[name] for name in files.contents if is_batch(name, self.facts)}:
            chosen = Files(files.source, files.in_archive, batches)
            return decode_batches(chosen, self.facts), f"python batches in {place}"
        if not files.contents:
            known = self.facts.batches
            remedy = f"either {known.train[0]} and the others, or train/<class>/* and test/<class>/* are needed"
            raise UserError("holds no images of the dataset", file=self.path, remedy=remedy)
        splits, formats = decode_class_folders(files, self.facts)
        return splits, f"class folders of images ({formats}) in {place}"

    def _content(self) -> Files:
        if self.form == "archive":
            return read_archive(self.path, lambda name: is_batch(name, self.facts) or is_class_image(name))
        return read_folder(self.path, self._patterns(), self._wants)

    def _patterns(self) -> list[str]:
        if self.form == "batches":
            return [*self.facts.batches.train, *self.facts.batches.test]
        return [f"{split}/*/*" for split in SPLITS]

    def _wants(self, name: str) -> bool:
        return is_batch(name, self.facts) if self.form == "batches" else is_class_image(name)


def find_source(name: str, path: Path) -> Source:
    """Finds a dataset at a path, or downloads it there.

    Args:
        name: Name of the dataset.
        path: An archive, or a folder; one that holds nothing of the dataset is downloaded into.

    Raises:
        UserError: There is no such archive, there are several folders of images, or the download fails.
    """
    facts = FACTS[name]
    if path.is_file():
        return Source(path, "archive", facts)
    if path.name.lower().endswith(_ARCHIVES) and not path.is_dir():
        raise UserError("no such file", file=path)
    return _find_in_folder(path, facts) or Source(_downloaded(name, path, facts.batches), "batches", facts)


def _find_in_folder(folder: Path, facts: Facts) -> Source | None:
    known = facts.batches
    for root in (folder, folder / known.folder):
        if any((root / name).is_file() for name in (*known.train, *known.test)):
            return Source(root, "batches", facts)
    if any((folder / split).is_dir() for split in SPLITS):
        return Source(folder, "class folders", facts)
    below = [child for child in sorted(folder.glob("*")) if _holds_classes(child, facts)]
    if len(below) > 1:
        names = " and ".join(child.name for child in below)
        raise UserError(f"holds class folders more than once, in {names}", file=folder, remedy="give one of them")
    if below:
        return Source(below[0], "class folders", facts)
    for archive in (folder / known.archive, folder / known.archive.removesuffix(".gz")):
        if archive.is_file():
            return Source(archive, "archive", facts)
    return None


def _holds_classes(folder: Path, facts: Facts) -> bool:
    return any((folder / split / label).is_dir() for split in SPLITS for label in facts.classes)


def _downloaded(name: str, folder: Path, batches: BatchFiles) -> Path:
    """Has torchvision download a dataset, which checks it, and moves it into place whole or not at all."""
    import torchvision  # here, for it takes seconds and is seldom needed

    dataset = {"cifar10": torchvision.datasets.CIFAR10, "cifar100": torchvision.datasets.CIFAR100}[name]
    target = folder / batches.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A folder of its own: a download cut short leaves nothing that a later run could take for the data.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
            dataset(temporary, train=False, download=True)
            try:
                Path(temporary, batches.folder).rename(target)
            except OSError:
                if not (target / batches.train[0]).is_file():  # no other process was faster
                    raise
    except (OSError, RuntimeError, EOFError, tarfile.TarError) as error:
        raise UserError(
            f"holds no {name}, and the download failed ({error})",
            file=folder,
            remedy=f"set the dataset's path to {batches.archive}, to {batches.folder}/, or to a folder or "
            ".tar.gz of train/<class>/* and test/<class>/* images",
        ) from error
    return target
