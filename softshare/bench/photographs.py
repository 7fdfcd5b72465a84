"""What photographs cost: images a second against torchvision's ImageFolder, on the same files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from softshare.bench.loading import reading
from softshare.bench.measure import Measured, alternate, median, paired_ratios
from softshare.data.beton import read_beton
from softshare.data.beton_datasets import write_photographs
from softshare.data.beton_images import PhotographSettings
from softshare.data.ffcv_file import FfcvFile, ffcv_is_installed
from softshare.data.ffcv_photographs import FfcvPhotographLoader
from softshare.data.photograph_augment import PhotographAugmentation
from softshare.data.photograph_colours import MEAN, STD
from softshare.data.photograph_loader import PhotographLoader
from softshare.data.photograph_sets import load_photographs
from softshare.data.photographs import PhotographSet

# ImageNet's epochs are long: what beginning one costs must not count here for more than a few percent.
_COUNT, _DISTINCT, _BATCH, _CROP = 1024, 256, 64, 224
_SIZE = (500, 375)  # most photographs of ImageNet


def bench_photographs(name: str, rounds: int) -> Iterator[Measured]:
    """Images a second of each loader, over those of ImageFolder, as fb.resnet.torch augments.

    All decode the same files, in as many processes or threads as torch computes with. ImageFolder has torchvision's own
    transforms of each image: crop, flip, jitter, normalising; lighting it lacks.
    """
    with tempfile.TemporaryDirectory() as folder:
        photographs = _photographs(Path(folder) / "tree")
        theirs = _image_folder(Path(folder) / "tree" / "train")
        ours = _loaders(photographs, Path(folder))

        def read_theirs() -> None:
            for images, _ in theirs:
                images.contiguous(memory_format=torch.channels_last)

        functions: dict[str, Callable[[], object]] = {kind: reading(loader) for kind, loader in ours.items()}
        seconds = alternate(functions | {"imagefolder": read_theirs}, rounds)
    for kind in ours:
        yield median(f"{name}.{kind}", paired_ratios(seconds["imagefolder"], seconds[kind]))
    for kind, taken in seconds.items():
        yield median(f"{name}.{kind}.images", [_COUNT / each for each in taken], "images/s")


def _photographs(root: Path) -> PhotographSet:
    """Noise on a few scales, in the size and at about the bytes of ImageNet's photographs (110 kB)."""
    random = np.random.default_rng(0)
    for number in range(_COUNT + 2):
        split = "train" if number < _COUNT else "val"
        file = root / split / "ab"[number % 2] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        if number >= _DISTINCT:
            shutil.copyfile(root / "train" / "ab"[number % 2] / f"{number % _DISTINCT}.jpg", file)
            continue
        shades = np.zeros((_SIZE[1], _SIZE[0], 3))
        for side, weight in ((8, 1.0), (64, 0.5), (256, 0.25)):
            coarse = random.integers(0, 256, (side, side, 3), np.uint8)
            shades += weight * np.asarray(Image.fromarray(coarse).resize(_SIZE, Image.Resampling.BILINEAR), float)
        Image.fromarray((shades / 1.75).astype(np.uint8)).save(file, quality=95)
    return load_photographs("folder", root)


def _image_folder(root: Path) -> DataLoader:
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(_CROP, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.4, 0.4, 0.4),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    workers = torch.get_num_threads()
    found = ImageFolder(str(root), transform)
    return DataLoader(found, _BATCH, shuffle=True, num_workers=workers, persistent_workers=True)


def _loaders(photographs: PhotographSet, folder: Path) -> dict[str, PhotographLoader]:
    threads, train = torch.get_num_threads(), photographs.train
    augmentation = PhotographAugmentation(crop=_CROP)
    settings = {"batch_size": _BATCH, "augmentation": augmentation, "shuffle": True}
    loaders = {"torchvision": PhotographLoader(train, workers=threads, **settings)}  # type: ignore[arg-type]
    if ffcv_is_installed():
        path = folder / "folder.beton"
        write_photographs(photographs, path, PhotographSettings(), limit=600, threads=threads, progress=False)
        file = FfcvFile(read_beton(path, photographs.name, photographs.fingerprint), _CROP)
        loaders["ffcv"] = FfcvPhotographLoader(file, np.arange(len(train)), train, **settings)
    return loaders
