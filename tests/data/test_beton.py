"""FFCV's files: written, checked and read back equal; and not one that was tampered with is taken."""

import hashlib
import json
import os
import resource
import struct
import subprocess
import sys

import numpy as np
import pytest

from softshare.data.beton import ALLOCATION, SAMPLE, SAMPLES_START, facts_file, read_beton, read_structure
from softshare.data.beton_images import PixelImages
from softshare.data.beton_writer import Content, write_beton
from softshare.data.ffcv_file import ffcv_is_installed
from softshare.errors import UserError
from softshare.lock import locked

PAGE = 1 << 21
FINGERPRINT = "ab" * 32
has_ffcv = pytest.mark.skipif(not ffcv_is_installed(), reason="FFCV is not installed (make ffcv)")


def content(train=40, test=20, side=32, page_size=PAGE):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (train + test, side, side, 3), np.uint8)
    labels = random.integers(0, 10, train + test)
    parts = PixelImages(pixels[:train], page_size), PixelImages(pixels[train:], page_size)
    return Content("cifar10", FINGERPRINT, tuple("abcdefghij"), *parts, labels)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("beton") / "cifar10.beton"
    facts = write_beton(path, content(), progress=False)
    return path, facts


@pytest.fixture
def copy(written, tmp_path):
    path = tmp_path / "cifar10.beton"
    path.write_bytes(written[0].read_bytes())
    facts_file(path).write_bytes(facts_file(written[0]).read_bytes())
    return path


def refused(path, *words, dataset="cifar10", fingerprint=FINGERPRINT):
    with pytest.raises(UserError) as caught:
        read_beton(path, dataset, fingerprint)
    message = str(caught.value)
    assert "\n" not in message and str(path.name) in message
    for word in words:
        assert word in message, message


class TestWritten:
    def test_is_read_back_equal(self, written):
        path, facts = written
        beton, source = read_beton(path, "cifar10", FINGERPRINT), content()
        found = beton.content()
        for number in range(60):
            part, at = (source.train, number) if number < 40 else (source.test, number - 40)
            assert np.array_equal(beton.image(number, found).reshape(32, 32, 3), part.pixels[at])
        assert np.array_equal(beton.labels, source.labels)
        assert (facts["train"], facts["test"], facts["bytes"]) == (40, 20, path.stat().st_size)
        assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert json.loads(facts_file(path).read_text()) == facts

    def test_alone_and_the_same_each_time(self, written, tmp_path):
        assert sorted(each.name for each in written[0].parent.iterdir()) == ["cifar10.beton", "cifar10.beton.json"]
        write_beton(tmp_path / "again.beton", content(), progress=False)
        assert (tmp_path / "again.beton").read_bytes() == written[0].read_bytes()

    def test_one_process_writes_a_file_and_clears_away_what_a_killed_one_left(self, written, tmp_path):
        for name in (".a.beton.12.tmp", ".b.beton.12.tmp"):
            (tmp_path / name).write_text("x")
        said = r"a\.beton: process: .* is being written by another process"
        with locked(tmp_path / ".a.beton.lock", tmp_path, "written"), pytest.raises(UserError, match=said):
            write_beton(tmp_path / "a.beton", content(), progress=False)
        write_beton(tmp_path / "a.beton", content(), progress=False)
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == [".b.beton.12.tmp", "a.beton", "a.beton.json"]

    def test_images_of_more_than_one_page(self, tmp_path):
        path = tmp_path / "large.beton"
        facts = write_beton(path, content(train=30, test=1, side=300), progress=False)
        beton = read_beton(path, "cifar10", FINGERPRINT)
        assert facts["bytes"] > 4 * PAGE and len({int(p) // PAGE for p in beton.samples["image"]["pointer"]}) == 5

    @has_ffcv
    @pytest.mark.slow
    @pytest.mark.long
    def test_is_byte_for_byte_what_ffcv_writes(self, written, tmp_path):
        code = f"""
import numpy as np
from ffcv.writer import DatasetWriter
from ffcv.fields import IntField, RGBImageField
data = np.load({str(tmp_path / "data.npz")!r})
samples = list(zip(data["pixels"], data["labels"]))
writer = DatasetWriter({str(tmp_path / "theirs.beton")!r}, {{"image": RGBImageField(), "label": IntField()}},
                       page_size={PAGE}, num_workers=1)
writer.from_indexed_dataset(samples)
"""
        source = content()
        pixels = np.concatenate([source.train.pixels, source.test.pixels])
        np.savez(tmp_path / "data.npz", pixels=pixels, labels=source.labels)
        subprocess.run([sys.executable, "-c", code], check=True, timeout=400, capture_output=True)
        assert (tmp_path / "theirs.beton").read_bytes() == written[0].read_bytes()


class TestRefused:
    def test_two_hundred_mutilated_files(self, copy):
        whole = copy.read_bytes()
        random = np.random.default_rng(1)
        taken = []
        for number in range(200):
            broken = bytearray(whole)
            if number < 60:  # shorter by one byte, by entries of the table, by up to a half
                cut = (
                    [1, 2, 23, 24, 25, 48, 24 * 60][number] if number < 7 else int(random.integers(1, len(whole) // 2))
                )
                del broken[-cut:]
            elif number < 160:  # a bit, most of them where something is told of the images
                ends = SAMPLES_START + 60 * SAMPLE.itemsize, len(whole)
                told = [random.integers(ends[0]), random.integers(ends[1] - 60 * ALLOCATION.itemsize, ends[1])]
                at = int([*told, random.integers(ends[1])][number % 3])
                broken[at] ^= 1 << int(random.integers(8))
            elif number < 190:  # absurd sizes in the header, the samples and the table
                place, form = [(4, "<I"), (8, "<Q"), (16, "<Q"), (SAMPLES_START + 5, "<Q"), (len(whole) - 8, "<Q")][
                    number % 5
                ]
                most = (1 << 8 * struct.calcsize(form)) - 1
                struct.pack_into(
                    form, broken, place, [0, 1, most, most - 24, most // 3, most - (1 << 16)][number // 5 % 6]
                )
            else:  # longer
                broken += bytes(random.integers(1, 200))
            copy.write_bytes(broken)
            try:
                read_beton(copy, "cifar10", FINGERPRINT)
                taken.append(number)
            except UserError as error:
                assert "\n" not in str(error)
        assert not taken

    def test_structure_alone_never_leads_out_of_the_file(self, written, copy):
        """As if someone had made SHA-256 and size fit: what is taken must at least lie where it is said to."""
        whole, facts = copy.read_bytes(), written[1]
        random = np.random.default_rng(2)
        told = [*range(SAMPLES_START + 60 * SAMPLE.itemsize), *range(len(whole) - 60 * ALLOCATION.itemsize, len(whole))]
        refusals = 0
        for _ in range(300):
            broken = bytearray(whole)
            for at in random.choice(told, int(random.integers(1, 4))):
                broken[at] = int(random.integers(256))
            copy.write_bytes(broken)
            try:
                beton = read_structure(copy, facts)
            except UserError:
                refusals += 1
                continue
            ends = beton.samples["image"]["pointer"] + beton.sizes
            assert (ends <= len(whole)).all() and (beton.sizes == 3072).all()
            assert (beton.labels < 10).all() and (beton.labels >= 0).all()
        assert refusals > 100

    def test_another_dataset(self, written):
        refused(written[0], "holds cifar10", "not cifar100", dataset="cifar100")
        refused(written[0], "softshare data write cifar10", fingerprint="cd" * 32)

    def test_another_version(self, copy):
        facts = json.loads(facts_file(copy).read_text())
        facts_file(copy).write_text(json.dumps(facts | {"format_version": 3}))
        refused(copy, "format_version: 3", "another format version")
        broken = bytearray(copy.read_bytes())
        broken[0] = 1
        copy.write_bytes(broken)
        facts_file(copy).write_text(json.dumps(facts | {"sha256": hashlib.sha256(broken).hexdigest()}))
        refused(copy, "version: 1")

    def test_no_file_or_nothing_told_of_it(self, copy, tmp_path):
        refused(tmp_path / "none.beton", "no such file", "softshare data write")
        told = facts_file(copy)
        for content_of in ("[]", "{}", json.dumps({"format_version": 2}), "{", json.dumps({"format_version": "2"})):
            told.write_text(content_of)
            refused(copy)
        told.unlink()
        refused(copy, "no such file")


class Unwilling(PixelImages):
    """Images of which the last cannot be read."""

    def stored(self, index):
        if index == len(self) - 1:
            raise UserError("cannot be read", file="photograph.JPEG")
        return super().stored(index)


class TestFailing:
    def test_an_image_that_cannot_be_read_leaves_nothing(self, tmp_path):
        source = content()
        broken = Content(
            "cifar10", FINGERPRINT, source.classes, Unwilling(source.train.pixels), source.test, source.labels
        )
        with pytest.raises(UserError, match=r"photograph.JPEG: cannot be read"):
            write_beton(tmp_path / "x.beton", broken, progress=False)
        assert list(tmp_path.iterdir()) == []

    def test_a_disk_that_fills_leaves_nothing(self, tmp_path):
        def one_megabyte():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

        out = tmp_path / "digits.beton"
        command = [sys.executable, "-m", "softshare", "data", "write", "digits", "--out", str(out), "--quiet"]
        result = subprocess.run(
            command, capture_output=True, text=True, preexec_fn=one_megabyte, timeout=400, env=os.environ, check=False
        )
        assert result.returncode == 2 and "cannot be written (File too large)" in result.stderr, result.stderr
        assert "Traceback" not in result.stderr and list(tmp_path.iterdir()) == []

    def test_labels_of_other_images(self, tmp_path):
        source = content()
        wrong = Content("cifar10", FINGERPRINT, source.classes, source.train, source.test, source.labels[1:])
        with pytest.raises(UserError, match="59 labels"):
            write_beton(tmp_path / "x.beton", wrong, progress=False)
