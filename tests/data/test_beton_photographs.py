"""Photographs in FFCV's files: what is kept, what is scaled, and crops that are the ones asked for."""

import dataclasses
import io
import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from softshare.data.beton import JPEG, read_beton
from softshare.data.beton_datasets import write_photographs
from softshare.data.beton_images import PhotographImages, PhotographSettings
from softshare.data.ffcv_file import ffcv_is_installed
from softshare.errors import UserError

SIZES = [(60, 40), (40, 60), (200, 120), (90, 300), (64, 64), (33, 100)]


def photograph(number, form="JPEG", mode="RGB", **options):
    """A smooth picture, as photographs are: JPEG keeps it nearly as it was."""
    width, height = SIZES[number % len(SIZES)]
    x, y = np.meshgrid(np.linspace(0, 3, width), np.linspace(0, 3, height))
    waves = [np.sin(x * (number + 1) / 3 + shift) + np.cos(y + shift) for shift in (0, 1, 2)]
    pixels = np.stack([(wave + 2) * 63 for wave in waves], axis=2).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


@dataclass(frozen=True)
class Part:
    contents: tuple[bytes, ...]

    @property
    def paths(self):
        return tuple(f"{number}.JPEG" for number in range(len(self.contents)))

    @property
    def labels(self):
        return torch.arange(len(self.contents)) % 3

    def __len__(self):
        return len(self.contents)

    def read(self, index):
        return self.contents[index]


@dataclass(frozen=True)
class Few:
    train: Part
    validation: Part
    name: str = "imagenet"
    classes: tuple[str, ...] = ("a", "b", "c")
    fingerprint: str = "cd" * 32


FEW = Few(Part(tuple(photograph(number) for number in range(8))), Part((photograph(8), photograph(9))))


def images(contents, **how):
    names = tuple(f"{number}.JPEG" for number in range(len(contents)))
    return PhotographImages(len(contents), Part(tuple(contents)).read, names, PhotographSettings(**how))


@pytest.fixture(scope="module")
def beton(tmp_path_factory):
    path = tmp_path_factory.mktemp("beton") / "imagenet.beton"
    write_photographs(FEW, path, PhotographSettings(side=150, jpeg_share=0.5), limit=600, threads=2, progress=False)
    return read_beton(path, "imagenet", FEW.fingerprint)


def opened(stored):
    if not stored.jpeg:
        return np.frombuffer(stored.content, np.uint8).reshape(stored.height, stored.width, 3)
    return np.asarray(Image.open(io.BytesIO(stored.content)))


class TestStored:
    def test_a_jpeg_that_is_small_enough_keeps_its_bytes(self):
        content = photograph(0)
        (stored,) = [images([content]).stored(0)]
        assert stored.content == content and (stored.width, stored.height, stored.jpeg) == (60, 40, True)

    def test_a_larger_one_is_scaled_by_area_to_the_longest_side(self):
        content = photograph(3)
        stored = images([content], side=100).stored(0)
        assert (stored.width, stored.height) == (30, 100)
        wanted = Image.open(io.BytesIO(content)).resize((30, 100), Image.Resampling.BOX)
        assert np.abs(opened(stored).astype(int) - np.asarray(wanted)).mean() < 3

    @pytest.mark.parametrize("form, mode", [("PNG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("BMP", "RGB")])
    def test_what_ffcv_cannot_read_becomes_a_jpeg_in_rgb(self, form, mode):
        stored = images([photograph(0, form, mode)]).stored(0)
        found = Image.open(io.BytesIO(stored.content))
        assert (found.format, found.mode, found.size) == ("JPEG", "RGB", (60, 40))

    def test_a_share_as_pixels(self):
        several = images([photograph(0)] * 200, jpeg_share=0.25)
        as_jpeg = [several.stored(number).jpeg for number in range(200)]
        assert 20 < sum(as_jpeg) < 80
        assert as_jpeg == [several.stored(number).jpeg for number in range(200)]
        assert not any(images([photograph(0)] * 20, jpeg_share=0).stored(number).jpeg for number in range(20))

    @pytest.mark.parametrize("broken", [b"", b"no image", photograph(2)[:-700], photograph(0, "PNG")[:90]])
    def test_a_damaged_one_is_named(self, broken):
        with pytest.raises(UserError, match=r"^1\.JPEG: is no photograph that can be decoded") as caught:
            images([photograph(0), broken]).stored(1)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("wrong", [{"side": 31}, {"jpeg_share": 1.5}, {"jpeg_quality": 0}])
    def test_impossible_settings(self, wrong):
        (key,) = wrong
        with pytest.raises(UserError, match=f"{key}: .*must be from"):
            PhotographSettings(**wrong)

    def test_the_largest_photograph_fits_a_page(self):
        assert images([], side=500).page_size == 1 << 23
        assert images([], side=4000).page_size >= 3 * 4000**2


class TestFile:
    def test_is_read_back_as_it_was_stored(self, beton):
        found, how = beton.content(), {"side": 150, "jpeg_share": 0.5}
        for start, part in ((0, FEW.train), (8, FEW.validation)):
            for number in range(len(part)):
                stored, sample = images(part.contents, **how).stored(number), beton.samples["image"][start + number]
                assert beton.image(start + number, found).tobytes() == stored.content
                assert (sample["width"], sample["height"]) == (stored.width, stored.height)
                assert (sample["mode"] == JPEG) == stored.jpeg
        assert beton.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 0, 1]
        assert (beton.facts["side"], beton.facts["jpeg_quality"]) == (150, 90)

    def test_a_damaged_photograph_leaves_nothing(self, tmp_path):
        broken = dataclasses.replace(FEW, validation=Part((photograph(1), b"nothing")))
        with pytest.raises(UserError, match=r"1\.JPEG: is no photograph"):
            write_photographs(broken, tmp_path / "x.beton", PhotographSettings(), limit=600, threads=1, progress=False)
        assert os.listdir(tmp_path) == []  # noqa: PTH208


_DECODE = """
import sys
from pathlib import Path
import numpy, torch
from softshare.data.beton import read_beton
from softshare.data.ffcv_file import FfcvFile
threads, path, asked, out = sys.argv[1:]
torch.set_num_threads(int(threads))
file = FfcvFile(read_beton(Path(path), "imagenet", "cd" * 32), crop=24)
with numpy.load(asked) as asked:
    batches = file.decoded(asked["order"], 4, asked["crops"])
    numpy.save(out, numpy.concatenate([batch.copy() for batch in batches]))
"""


@pytest.mark.long
@pytest.mark.skipif(not ffcv_is_installed(), reason="FFCV is not installed (make ffcv)")
def test_ffcv_decodes_the_crops_that_are_given_whatever_the_number_of_threads(beton, tmp_path):
    random = np.random.default_rng(0)
    order = random.permutation(10)
    sizes = beton.samples["image"][order]
    crops = np.array(
        [
            [top := int(random.integers(h - 20)), left := int(random.integers(w - 20)),
             int(random.integers(20, h - top + 1)), int(random.integers(20, w - left + 1))]
            for w, h in zip(sizes["width"].tolist(), sizes["height"].tolist(), strict=True)
        ]
    )  # fmt: skip
    # In a process of its own: numba fails to compile with two numbers of threads in one.
    np.savez(tmp_path / "asked.npz", order=order, crops=crops)
    for threads in (1, 2):
        out = tmp_path / f"{threads}.npy"
        command = [sys.executable, "-c", _DECODE, str(threads), str(beton.path), str(tmp_path / "asked.npz"), str(out)]
        subprocess.run(command, check=True, timeout=400, capture_output=True)
    found = np.load(tmp_path / "1.npy")
    assert np.array_equal(found, np.load(tmp_path / "2.npy"))
    content = beton.content()
    for number, (top, left, height, width) in zip(order, crops, strict=True):
        sample, stored = beton.samples["image"][number], beton.image(number, content).tobytes()
        pixels = (
            np.asarray(Image.open(io.BytesIO(stored)))
            if sample["mode"] == JPEG
            else np.frombuffer(stored, np.uint8).reshape(sample["height"], sample["width"], 3)
        )
        cut = Image.fromarray(pixels[top : top + height, left : left + width])
        wanted = np.asarray(cut.resize((24, 24), Image.Resampling.BILINEAR), float)
        (place,) = np.flatnonzero(order == number)
        assert np.abs(found[place] - wanted).mean() < 4
