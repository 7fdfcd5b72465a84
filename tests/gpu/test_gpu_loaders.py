"""Every loader gives on a GPU the bits that it gives on a CPU."""

import os
import subprocess
import sys

import pytest
import torch

from softshare.data.augment import Augmentation
from softshare.data.ffcv_file import ffcv_is_installed
from softshare.data.ffcv_loader import Copy
from softshare.data.loaders import TensorLoader
from softshare.data.photograph_augment import PhotographAugmentation
from softshare.data.photograph_loader import PhotographLoader
from softshare.data.photograph_sets import load_photographs
from softshare.data.worker_loader import WorkerLoader
from softshare.files import project_root

SETTINGS = {
    "batch_size": 16,
    "mean": (0.49, 0.48, 0.45),
    "std": (0.247, 0.243, 0.262),
    "seed": 3,
    "channels_last": True,
    "shuffle": True,
}


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (53, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return pixels, torch.randint(0, 10, (53,), generator=generator)


def same(found, wanted):
    """Asserts that two loaders give the same two epochs."""
    for epoch in (0, 5):
        for (ours, labels), (theirs, their_labels) in zip(found.epoch(epoch), wanted.epoch(epoch), strict=True):
            assert ours.device.type == labels.device.type == "cuda"
            assert torch.equal(ours.cpu(), theirs) and torch.equal(labels.cpu(), their_labels)
            assert ours.stride() == theirs.stride()


@pytest.mark.parametrize("padding", ["zero", "reflect"])
def test_images_in_the_gpu_s_memory(gpu, images, padding):
    settings = SETTINGS | {"augmentation": Augmentation(True, 4, padding, 16)}
    same(TensorLoader(*images, device=gpu, **settings), TensorLoader(*images, **settings))


@pytest.mark.parametrize("workers", [0, 2])
def test_images_by_worker_processes_and_pinned_memory(gpu, images, workers):
    settings = SETTINGS | {"augmentation": Augmentation(True, 4, "zero", 16)}
    same(WorkerLoader(*images, workers=workers, device=gpu, **settings), TensorLoader(*images, **settings))


@pytest.mark.parametrize("resize", [None, 36])
def test_photographs(gpu, photograph_tree, three_synsets, tmp_path, resize):
    photographs = load_photographs("imagenet", photograph_tree(tmp_path / "tree")).train
    augmentation = PhotographAugmentation(crop=32)
    settings = {"batch_size": 5, "augmentation": augmentation, "resize": resize, "shuffle": resize is None}
    same(
        PhotographLoader(photographs, device=gpu, workers=2, **settings),
        PhotographLoader(photographs, workers=0, **settings),
    )


def test_what_is_copied_may_be_written_over_at_once(gpu):
    copy, memory = Copy(torch.device("cuda")), torch.empty(64, 224, 224, 3, dtype=torch.uint8)
    busy = torch.randn(4096, 4096, device=gpu)
    found = []
    for number in range(40):
        memory.fill_(number)
        for _ in range(5):
            busy = busy @ busy / 64
        found.append(copy(memory))
        memory.fill_(255)
    for number, values in enumerate(found):
        assert bool((values == number).all())


@pytest.mark.slow
@pytest.mark.skipif(not ffcv_is_installed(), reason="FFCV is not installed (make ffcv)")
def test_ffcv_decodes_for_a_gpu(tmp_path):
    """In a process of its own: what FFCV starts lives as long as its process."""
    code = f"""
import sys; sys.path.insert(0, {str(project_root() / "tests" / "gpu")!r})
import torch, pathlib, numpy as np
from test_gpu_loaders import SETTINGS, same
from softshare.data.augment import Augmentation
from softshare.data.beton import read_beton
from softshare.data.beton_images import PixelImages
from softshare.data.beton_writer import Content, write_beton
from softshare.data.ffcv_file import FfcvFile
from softshare.data.ffcv_loader import FfcvLoader
from softshare.data.loaders import TensorLoader
generator = torch.Generator().manual_seed(0)
pixels = torch.randint(0, 256, (700, 3, 32, 32), dtype=torch.uint8, generator=generator)
labels = torch.randint(0, 10, (700,), generator=generator)
path = pathlib.Path({str(tmp_path)!r}) / "cifar10.beton"
stored = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())
parts = PixelImages(stored[:600], 1 << 21), PixelImages(stored[600:], 1 << 21)
write_beton(path, Content("cifar10", "ab" * 32, tuple("abcdefghij"), *parts, labels.numpy()), progress=False)
settings = SETTINGS | {{"augmentation": Augmentation(True, 4, "zero", 16)}}
file = FfcvFile(read_beton(path, "cifar10", "ab" * 32))
same(FfcvLoader(file, np.arange(600), device="cuda", **settings), TensorLoader(pixels[:600], labels[:600], **settings))
"""
    run = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-3000:]
