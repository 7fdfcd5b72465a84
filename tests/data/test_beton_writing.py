"""What lies in FFCV's file is held against its source, and hashing a large one takes longer than the time limit."""

import dataclasses
import multiprocessing
import time

import numpy as np
import pytest

from softshare.data import beton, beton_writer
from softshare.data.beton_images import PixelImages
from softshare.data.beton_writer import Content, write_beton
from softshare.errors import UserError

PAGE = 1 << 21
TRAIN, TEST = 40, 20


def content():
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (TRAIN + TEST, 12, 16, 3), np.uint8)
    parts = PixelImages(pixels[:TRAIN], PAGE), PixelImages(pixels[TRAIN:], PAGE)
    return Content("cifar10", "ab" * 32, tuple("abcdefghij"), *parts, random.integers(0, 10, TRAIN + TEST))


@pytest.fixture(autouse=True)
def forked(monkeypatch):
    """What is patched here is patched in the process that writes, which is there at once."""
    context = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: context)


def one_pixel(source, images):
    images[33] = dataclasses.replace(images[33], content=bytes([images[33].content[0] ^ 1]) + images[33].content[1:])
    return source, images


def two_places(source, images):
    images[3], images[4] = images[4], images[3]
    return source, images


def one_shape(source, images):
    images[59] = dataclasses.replace(images[59], width=images[59].height, height=images[59].width)
    return source, images


def one_label(source, images):
    labels = source.labels.copy()
    labels[20] = (labels[20] + 1) % 10
    return dataclasses.replace(source, labels=labels), images


def one_image_less(source, images):
    return dataclasses.replace(source, labels=source.labels[:-1]), images[:-1]


@pytest.mark.parametrize(
    "wrong, said",
    [
        (one_pixel, "was not written as it should be: image 33 differs"),
        (two_places, "was not written as it should be: image 3 differs"),
        (one_shape, "was not written as it should be: image 59 differs"),
        (one_label, "was not written as it should be: labels differ"),
        (one_image_less, "holds 59 images"),
    ],
)
def test_what_was_written_wrongly_is_refused_and_leaves_nothing(tmp_path, monkeypatch, wrong, said):
    write = beton_writer._write

    def write_wrongly(target, source, images):
        source, images = wrong(source, list(images))
        write(target, source, iter(images))

    monkeypatch.setattr(beton_writer, "_write", write_wrongly)
    with pytest.raises(UserError, match=said) as caught:
        write_beton(tmp_path / "x.beton", content(), progress=False)
    assert "x.beton" in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays_where_another_is_written_wrongly(tmp_path, monkeypatch):
    path = tmp_path / "x.beton"
    write_beton(path, content(), progress=False)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    monkeypatch.setattr(beton_writer, "_write", lambda target, source, images: target.write(bytes(len(list(images)))))
    with pytest.raises(UserError, match=r"x\.beton"):
        write_beton(path, content(), progress=False)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_of_photographs_some_are_compared_evenly_spread(tmp_path, monkeypatch):
    assert content().compared() == list(range(60))
    monkeypatch.setattr(beton_writer, "PixelImages", int)  # so that these are taken for photographs
    monkeypatch.setattr(beton_writer, "_COMPARED", 4)
    assert content().compared() == [0, 15, 30, 45]
    write = beton_writer._write

    def write_wrongly(target, source, images, number):
        images = list(images)
        images[number] = dataclasses.replace(images[number], content=bytes(len(images[number].content)))
        write(target, source, iter(images))

    monkeypatch.setattr(beton_writer, "_write", lambda *given: write_wrongly(*given, 45))
    with pytest.raises(UserError, match="image 45 differs"):
        write_beton(tmp_path / "x.beton", content(), progress=False)
    monkeypatch.setattr(beton_writer, "_write", lambda *given: write_wrongly(*given, 46))
    write_beton(tmp_path / "x.beton", content(), progress=False)


class Slow:
    """A SHA-256 whose every part takes a while."""

    parts = 0

    def update(self, part):
        Slow.parts += 1
        time.sleep(1.0)

    def hexdigest(self):
        return f"{Slow.parts} parts"


def test_hashing_may_take_longer_than_the_limit_as_long_as_it_gets_on(tmp_path, monkeypatch):
    monkeypatch.setattr(beton.hashlib, "sha256", Slow)
    monkeypatch.setattr(beton, "_PART", PAGE)
    random = np.random.default_rng(0)
    parts = [PixelImages(random.integers(0, 256, (count, 800, 800, 3), np.uint8), PAGE) for count in (6, 1)]
    large = Content("cifar10", "ab" * 32, tuple("abcdefghij"), *parts, np.zeros(7, np.int64))
    began = time.monotonic()
    facts = write_beton(tmp_path / "x.beton", large, limit=4.0, progress=False)
    assert facts["sha256"] == "9 parts" and time.monotonic() - began > 2 * 4.0


def asleep(*_):
    time.sleep(3600)


def test_writing_that_hangs_is_given_up_after_the_limit_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(beton_writer, "_write", asleep)
    with pytest.raises(UserError, match=r"writing x\.beton: no progress within 1 s; .*--time-limit"):
        write_beton(tmp_path / "x.beton", content(), limit=1.0, progress=False)
    assert list(tmp_path.iterdir()) == []
