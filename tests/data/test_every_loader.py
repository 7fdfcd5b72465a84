"""Every loader of a set gives the same images in the same order, to the bit."""

import dataclasses
import sys
import threading

import numpy as np
import pytest
import torch

from softshare.data.augment import Augmentation
from softshare.data.beton import read_beton
from softshare.data.beton_images import PixelImages
from softshare.data.beton_writer import Content, write_beton
from softshare.data.ffcv_file import FfcvFile, ffcv_is_installed, require_ffcv
from softshare.data.ffcv_loader import FfcvLoader
from softshare.data.loaders import Part, TensorLoader
from softshare.data.worker_loader import WorkerLoader
from softshare.errors import UserError

COUNT, ASIDE = 53, 11
FINGERPRINT = "ab" * 32
SETTINGS = {
    "batch_size": 16,
    "mean": (0.49, 0.48, 0.45),
    "std": (0.247, 0.243, 0.262),
    "augmentation": Augmentation(True, 4, "zero", 16),
    "seed": 3,
    "channels_last": True,
    "shuffle": True,
}
has_ffcv = pytest.mark.skipif(not ffcv_is_installed(), reason="FFCV is not installed (make ffcv)")


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (COUNT + ASIDE, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return pixels, torch.randint(0, 10, (COUNT + ASIDE,), generator=generator)


@pytest.fixture(scope="module")
def beton(images, tmp_path_factory):
    pixels, labels = images
    path = tmp_path_factory.mktemp("beton") / "cifar10.beton"
    stored = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())
    parts = PixelImages(stored[:COUNT], 1 << 21), PixelImages(stored[COUNT:], 1 << 21)
    write_beton(path, Content("cifar10", FINGERPRINT, tuple("abcdefghij"), *parts, labels.numpy()), progress=False)
    return read_beton(path, "cifar10", FINGERPRINT)


@pytest.fixture(scope="module")
def file(beton):
    return FfcvFile(beton)


def same(found, images, epochs=(0, 5), **changes):
    """Asserts that a loader gives what one of tensors does."""
    expected = TensorLoader(images[0][:COUNT], images[1][:COUNT], **SETTINGS | changes)
    assert len(found) == len(expected) and found.count == expected.count
    for epoch in epochs:
        ours, theirs = list(found.epoch(epoch)), list(expected.epoch(epoch))
        assert len(ours) == len(theirs)
        for (pixels, labels), (wanted, wanted_labels) in zip(ours, theirs, strict=True):
            assert torch.equal(pixels, wanted) and torch.equal(labels, wanted_labels)
            assert pixels.stride() == wanted.stride()


@pytest.mark.attack("each loader: the same order and augmented pixels")
@pytest.mark.parametrize("workers", [0, 2])
def test_worker_processes(images, workers):
    part = images[0][:COUNT], images[1][:COUNT]
    same(WorkerLoader(*part, workers=workers, **SETTINGS), images)


@pytest.mark.parametrize(
    "changes", [{"augmentation": None, "shuffle": False}, {"part": Part(1, 3)}, {"batch_size": 100}], ids=str
)
def test_worker_processes_otherwise(images, changes):
    part = images[0][:COUNT], images[1][:COUNT]
    same(WorkerLoader(*part, workers=0, **SETTINGS | changes), images, **changes)


@has_ffcv
@pytest.mark.slow
class TestFfcv:
    @pytest.mark.attack("each loader: the same order and augmented pixels")
    @pytest.mark.parametrize(
        "changes",
        [{}, {"augmentation": None, "shuffle": False}, {"part": Part(1, 3)}, {"batch_size": 100}],
        ids=str,
    )
    def test_the_same_bits(self, file, images, changes):
        same(FfcvLoader(file, np.arange(COUNT), **SETTINGS | changes), images, **changes)

    def test_a_part_of_the_file(self, file, images):
        plain = SETTINGS | {"augmentation": None, "shuffle": False}
        chosen = np.arange(COUNT, COUNT + ASIDE)[::-1].copy()
        (batch,) = FfcvLoader(file, chosen, **plain).epoch(0)
        (expected,) = TensorLoader(images[0][chosen], images[1][chosen], **plain).epoch(0)
        assert torch.equal(batch[0], expected[0]) and torch.equal(batch[1], expected[1])

    def test_an_epoch_that_is_left_does_not_reach_into_the_next(self, file, images):
        loader = FfcvLoader(file, np.arange(COUNT), **SETTINGS)
        for _ in range(3):
            next(iter(loader.epoch(1)))
        same(loader, images)

    def test_torch_keeps_its_threads(self, file, images):
        before = torch.get_num_threads()
        list(FfcvLoader(file, np.arange(COUNT), **SETTINGS).epoch(0))
        assert torch.get_num_threads() == before

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_fault_in_its_thread_ends_in_one_line(self, file, images, monkeypatch, capfd):
        monkeypatch.setattr("softshare.data.ffcv_file._LOOK_AFTER", 0.2)
        with pytest.raises(UserError, match="FFCV stopped in the middle of an epoch"):
            monkeypatch.setattr(file._loader, "code", None)
            list(file.decoded(np.arange(5), 2))

    def test_a_hang_in_its_thread_ends_in_one_line(self, file, monkeypatch):
        released = threading.Event()

        def hangs(**_):
            released.wait()
            return ()

        monkeypatch.setattr("softshare.data.ffcv_file._LOOK_AFTER", 0.2)
        monkeypatch.setattr("softshare.data.ffcv_file.LIMIT", 1.0)
        monkeypatch.setattr(file._loader, "code", ([(hangs, ())], ()))
        try:
            with pytest.raises(UserError, match=r"cifar10\.beton: FFCV decoded nothing within 1 s; does the disk"):
                list(file.decoded(np.arange(2), 2))
        finally:
            released.set()


def test_without_ffcv_asking_for_it_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "ffcv", None)
    with pytest.raises(
        UserError, match=r"loader: 'ffcv': FFCV cannot be imported .*; make ffcv \(README, Loaders\)"
    ) as caught:
        require_ffcv()
    assert "\n" not in str(caught.value)


def test_images_of_several_sizes_need_a_crop(beton):
    if not ffcv_is_installed():
        pytest.skip("FFCV is not installed (make ffcv)")
    samples = beton.samples.copy()
    samples["image"]["width"][0] = 31
    with pytest.raises(UserError, match="several sizes"):
        FfcvFile(dataclasses.replace(beton, samples=samples))
