"""What data cost: images a second against torchvision's DataLoader, waiting in training, FFCV's file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from softshare.bench.measure import Measured, alternate, median, paired_ratios, timed
from softshare.bench.steps import training_step
from softshare.data.augment import Augmentation
from softshare.data.beton import read_beton
from softshare.data.beton_images import PixelImages
from softshare.data.beton_writer import Content, write_beton
from softshare.data.ffcv_file import FfcvFile, ffcv_is_installed
from softshare.data.ffcv_loader import FfcvLoader
from softshare.data.loaders import Loader, TensorLoader
from softshare.data.worker_loader import WorkerLoader

_BATCH = 128
_COUNT = 100 * _BATCH
_TO_START, _STEPS = 2, 3  # batches until a loader is at its pace; steps of which one share is taken
_MEAN, _STD = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
_FINGERPRINT = "0" * 64


def bench_loading(name: str, rounds: int) -> Iterator[Measured]:
    """Images a second of each loader, over those of torchvision's DataLoader, as the paper augments CIFAR-10.

    Torchvision's is the usual one: transforms of each image, in as many processes as there are threads, kept from epoch
    to epoch. All are timed in turn over the same images.
    """
    with tempfile.TemporaryDirectory() as folder:
        pixels, labels = _images(_COUNT)
        ours = _loaders(pixels, labels, Path(folder))
        theirs = DataLoader(
            _Transformed(pixels, labels), _BATCH, shuffle=True, num_workers=torch.get_num_threads(),
            persistent_workers=True,
        )  # fmt: skip

        def read_theirs() -> None:
            for images, _ in theirs:
                images.contiguous(memory_format=torch.channels_last)

        functions: dict[str, Callable[[], object]] = {kind: reading(loader) for kind, loader in ours.items()}
        seconds = alternate(functions | {"theirs": read_theirs}, rounds)
        for kind in ("tensor", "ffcv"):
            if kind in ours:
                yield median(f"{name}.{kind}", paired_ratios(seconds["theirs"], seconds[kind]))
        for kind, taken in seconds.items():
            yield median(f"{name}.{kind}.images", [_COUNT / each for each in taken], "images/s")


def bench_waiting(name: str, rounds: int) -> Iterator[Measured]:
    """Share of the time that training wrn-28-2 waits for its next batch, with each loader, after its first batches."""
    with tempfile.TemporaryDirectory() as folder:
        pixels, labels = _images((_TO_START + _STEPS * rounds) * _BATCH)
        step = training_step("wrn-28-2", _BATCH)
        for kind, loader in _loaders(pixels, labels, Path(folder)).items():
            yield median(f"{name}.{kind}", _waiting(loader, step, rounds))


def bench_beton(name: str, rounds: int) -> Iterator[Measured]:
    """Seconds to write a file of CIFAR-10's shape, checked, and to check it before reading."""
    pixels, labels = _images(60_000)
    writing: list[float] = []
    checking: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cifar10.beton"
        for _ in range(rounds):
            writing += timed(partial(_write, path, pixels, labels), 1)
            checking += timed(partial(read_beton, path, "cifar10", _FINGERPRINT), 1)
    yield median(f"{name}.write", writing, "s")
    yield median(f"{name}.check", checking, "s")


def _images(count: int) -> tuple[Tensor, Tensor]:
    return torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8), torch.randint(10, (count,))


def _write(path: Path, pixels: Tensor, labels: Tensor) -> None:
    stored = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())
    train = len(stored) * 5 // 6
    parts = PixelImages(stored[:train]), PixelImages(stored[train:])
    content = Content("cifar10", _FINGERPRINT, tuple("0123456789"), *parts, labels.numpy())
    write_beton(path, content, progress=False)


def _loaders(pixels: Tensor, labels: Tensor, folder: Path) -> dict[str, Loader]:
    """Every loader that is there, of the same images, with the paper's augmentation."""
    settings = _settings(_BATCH)
    loaders: dict[str, Loader] = {
        "tensor": TensorLoader(pixels, labels, **settings),
        "torchvision": WorkerLoader(pixels, labels, workers=torch.get_num_threads(), **settings),
    }
    if ffcv_is_installed():
        path = folder / "cifar10.beton"
        _write(path, pixels, labels)
        file = FfcvFile(read_beton(path, "cifar10", _FINGERPRINT))
        loaders["ffcv"] = FfcvLoader(file, np.arange(len(labels)), **settings)
    return loaders


def cifar_loader(batch: int, batches: int) -> TensorLoader:
    """The loader that CIFAR takes on a CPU, of random pixels, with the paper's augmentation."""
    return TensorLoader(*_images(batch * batches), **_settings(batch))


def _settings(batch: int) -> dict[str, Any]:
    return {
        "batch_size": batch,
        "mean": _MEAN,
        "std": _STD,
        "augmentation": Augmentation(flip=True, pad=4, padding="zero", cutout=0),
        "shuffle": True,
        "channels_last": True,
    }


def reading(loader: Loader) -> Callable[[], None]:
    """What reads an epoch of a loader."""

    def read() -> None:
        for _ in loader.epoch(0):
            pass

    return read


def _waiting(loader: Loader, step: Callable[[], None], rounds: int) -> list[float]:
    """Shares of the time that `step` waits for data, each of some steps in one epoch, once loaders have started."""
    batches = loader.epoch(0)
    for _ in range(_TO_START):
        next(batches)
    shares = []
    for _ in range(rounds):
        waited = trained = 0.0
        for _ in range(_STEPS):
            start = time.perf_counter()
            next(batches)
            ready = time.perf_counter()
            step()
            waited += ready - start
            trained += time.perf_counter() - ready
        shares.append(waited / (waited + trained))
    return shares


class _Transformed(Dataset):
    """Images as torchvision's users load them: each by itself, through its transforms."""

    def __init__(self, pixels: Tensor, labels: Tensor) -> None:
        self.pixels = pixels
        self.labels = labels.tolist()
        self.transform = v2.Compose(
            [
                v2.RandomCrop(32, padding=4),
                v2.RandomHorizontalFlip(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(_MEAN, _STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        return self.transform(self.pixels[number]), self.labels[number]
