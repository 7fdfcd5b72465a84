"""CIFAR from files: every form it may lie in gives the same tensors, and every fault is named."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from softshare.data.catalogue import FACTS
from softshare.data.images import load_images, place_of
from softshare.errors import UserError


def assert_is_tiny(found, tiny):
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        assert torch.equal(getattr(found, part), torch.from_numpy(getattr(tiny, part))), part
    assert found.train_images.is_contiguous() and found.train_images.dtype == torch.uint8
    assert found.train_labels.dtype == torch.int64
    assert (found.name, found.classes, found.flip, found.pad) == (
        "cifar10",
        FACTS["cifar10"].classes,
        True,
        4,
    )


def refused(path, *words, **options):
    """The message of the error that loading ends in, which is one line and holds the words."""
    with pytest.raises(UserError) as caught:
        load_images("cifar10", path, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message, message
    return message


class TestBatches:
    def test_of_python_2(self, tiny, tmp_path):
        found = load_images("cifar10", tiny.write_batches(tmp_path / "cifar-10-batches-py"))
        assert_is_tiny(found, tiny)
        assert found.source == "python batches in cifar-10-batches-py"

    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_rewritten_by_python_3(self, tiny, tmp_path, protocol):
        folder = tiny.write_batches(tmp_path / "anywhere", lambda value: pickle.dumps(value, protocol))
        assert_is_tiny(load_images("cifar10", str(folder)), tiny)

    def test_in_a_folder_above(self, tiny, tmp_path):
        tiny.write_batches(tmp_path / "cifar-10-batches-py")
        assert_is_tiny(load_images("cifar10", tmp_path), tiny)

    def test_in_the_default_folder(self, tiny, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        tiny.write_batches(tmp_path / "results/data/cifar10/cifar-10-batches-py")
        assert_is_tiny(load_images("cifar10"), tiny)

    @pytest.mark.parametrize("archive", ["cifar-10-python.tar.gz", "cifar-10-python.tar", "other.tgz"])
    def test_in_an_archive(self, tiny, tmp_path, archive, pack):
        file = pack(tiny.write_batches(tmp_path / "x"), tmp_path / archive, "cifar-10-batches-py")
        found = load_images("cifar10", file)
        assert_is_tiny(found, tiny)
        assert found.source == f"python batches in {archive}"

    def test_in_the_authors_archive_in_a_folder(self, tiny, tmp_path, pack):
        folder = tiny.write_batches(tmp_path / "x")
        (tmp_path / "data").mkdir()
        pack(folder, tmp_path / "data/cifar-10-python.tar.gz", "cifar-10-batches-py")
        assert_is_tiny(load_images("cifar10", tmp_path / "data"), tiny)

    def test_of_cifar100(self, monkeypatch, tmp_path, dump_python2, as_batch):
        from dataclasses import replace

        monkeypatch.setitem(FACTS, "cifar100", replace(FACTS["cifar100"], train_per_class=2, test_per_class=1))
        labels = np.random.default_rng(0).permutation(np.arange(100).repeat(2))
        images = np.random.default_rng(1).integers(0, 256, (200, 3, 32, 32), np.uint8)
        (tmp_path / "train").write_bytes(dump_python2(as_batch(images, labels, "fine_labels")))
        (tmp_path / "test").write_bytes(dump_python2(as_batch(images[:100], np.arange(100), "fine_labels")))
        found = load_images("cifar100", tmp_path)
        assert torch.equal(found.train_images, torch.from_numpy(images))
        assert torch.equal(found.train_labels, torch.from_numpy(labels))
        assert len(found.classes) == 100 and found.test_labels[-1] == 99


class TestDamagedBatches:
    def spoil(self, tiny, tmp_path, dump, **changes):
        folder = tiny.write_batches(tmp_path / "data")
        file = folder / "data_batch_3"
        content = {
            "data": tiny.train_images[20:30].reshape(10, -1),
            "labels": tiny.train_labels[20:30].tolist(),
            **changes,
        }
        file.write_bytes(dump({key: value for key, value in content.items() if value is not None}))
        return folder, file

    @pytest.mark.parametrize("kept", [0, 1, 100, -100, -1])
    def test_truncated(self, tiny, tmp_path, kept):
        folder = tiny.write_batches(tmp_path / "data")
        file = folder / "data_batch_3"
        file.write_bytes(file.read_bytes()[:kept])
        refused(folder, file, "truncated")

    def test_missing(self, tiny, tmp_path):
        folder = tiny.write_batches(tmp_path / "data")
        (folder / "data_batch_4").unlink()
        refused(folder, folder / "data_batch_4", "no such file")

    def test_missing_in_an_archive(self, tiny, tmp_path, pack):
        folder = tiny.write_batches(tmp_path / "data")
        (folder / "test_batch").unlink()
        archive = pack(folder, tmp_path / "a.tar", "inside")
        refused(archive, f"{archive}: inside/test_batch", "no such file")

    @pytest.mark.parametrize("label", [-1, 10])
    def test_label_out_of_range(self, tiny, tmp_path, dump_python2, label):
        folder, file = self.spoil(tiny, tmp_path, dump_python2, labels=[label] * 10)
        refused(folder, file, label, "0 to 9")

    @pytest.mark.parametrize("labels", [None, "cat", ["cat"] * 10, [1.5] * 10])
    def test_labels_that_are_none(self, tiny, tmp_path, dump_python2, labels):
        refused(*self.spoil(tiny, tmp_path, dump_python2, labels=labels), "labels", "whole numbers")

    def test_more_labels_than_images(self, tiny, tmp_path, dump_python2):
        refused(*self.spoil(tiny, tmp_path, dump_python2, labels=[1] * 11), "10 images but 11 labels")

    def test_wrong_shape(self, tiny, tmp_path, dump_python2):
        data = np.zeros((10, 28 * 28), np.uint8)
        refused(*self.spoil(tiny, tmp_path, dump_python2, data=data), "[images, 3072]", "[10, 784]")

    def test_no_pixels(self, tiny, tmp_path, dump_python2):
        refused(*self.spoil(tiny, tmp_path, dump_python2, data=None), "data", "NoneType")

    def test_too_few_of_a_class(self, tiny, tmp_path, dump_python2):
        folder, _ = self.spoil(tiny, tmp_path, dump_python2, labels=[4] * 4 + [5] * 6)
        refused(folder, folder, "4 train images of 'deer', not 5")

    def test_not_a_dictionary(self, tiny, tmp_path, dump_python2):
        folder, file = self.spoil(tiny, tmp_path, dump_python2)
        file.write_bytes(dump_python2([1, 2]))
        refused(folder, file, "no dictionary")


class TestClassFolders:
    @pytest.mark.parametrize("suffix", [".png", ".bmp", ".PNG"])
    def test_unpacked(self, tiny, tmp_path, suffix):
        found = load_images("cifar10", tiny.write_class_folders(tmp_path / "mine", suffix))
        assert_is_tiny(found, tiny)
        assert found.source == f"class folders of images ({suffix[1:].upper()}) in mine"

    def test_below_another_folder(self, tiny, tmp_path):
        tiny.write_class_folders(tmp_path / "data/cifar")
        (tmp_path / "data/readme").mkdir()
        assert_is_tiny(load_images("cifar10", tmp_path / "data"), tiny)

    @pytest.mark.parametrize("archive", ["a.tar", "a.tar.gz"])
    @pytest.mark.parametrize("below", [".", "", "top"])
    def test_packed(self, tiny, tmp_path, archive, below, pack):
        file = pack(tiny.write_class_folders(tmp_path / "x"), tmp_path / archive, below)
        found = load_images("cifar10", file)
        assert_is_tiny(found, tiny)
        assert found.source == f"class folders of images (PNG) in {archive}"

    def test_all_forms_have_one_fingerprint(self, tiny, tmp_path, pack):
        folders = load_images("cifar10", tiny.write_class_folders(tmp_path / "f"))
        batches = load_images("cifar10", tiny.write_batches(tmp_path / "b"))
        packed = load_images("cifar10", pack(tmp_path / "f", tmp_path / "f.tar.gz"))
        assert folders.fingerprint == batches.fingerprint == packed.fingerprint
        assert folders.mean == batches.mean and folders.std == batches.std

    def test_jpeg_is_named_as_what_it_is(self, tiny, tmp_path):
        folder = tiny.write_class_folders(tmp_path / "x", ".jpg", quality=75)
        assert "(JPEG)" in load_images("cifar10", folder).source

    def test_other_files_are_passed_over(self, tiny, tmp_path):
        folder = tiny.write_class_folders(tmp_path / "x")
        for name in ("._0001.png", ".DS_Store", "Thumbs.db"):
            (folder / "train/cat" / name).write_bytes(b"nothing")
        (folder / "train/readme.txt").write_text("nothing")
        assert_is_tiny(load_images("cifar10", folder), tiny)


class TestDamagedClassFolders:
    @pytest.fixture(params=["folder", "archive"])
    def spoilt(self, request, tiny, tmp_path, pack):
        """Refuses what a function makes of the folder, unpacked or packed."""

        def check(spoil, name, *words):
            folder = tiny.write_class_folders(tmp_path / "mine")
            spoil(folder)
            if request.param == "folder":
                refused(folder, folder / name, *words)
            else:
                archive = pack(folder, tmp_path / "mine.tar.gz", "top")
                refused(archive, f"{archive}: top/{name}" if name else archive, *words)

        return check

    def test_unknown_class(self, spoilt):
        def spoil(folder):
            (folder / "train/cat").rename(folder / "train/catt")

        spoilt(spoil, "train/catt", "did you mean 'cat'")

    @pytest.mark.parametrize("split", ["train", "test"])
    def test_missing_class(self, spoilt, split):
        def spoil(folder):
            for file in (folder / split / "frog").iterdir():
                file.unlink()
            (folder / split / "frog").rmdir()

        spoilt(spoil, f"{split}/frog", "images of this class are needed")

    @pytest.mark.parametrize("split", ["train", "test"])
    def test_missing_split(self, spoilt, split):
        spoilt(lambda folder: (folder / split).rename(folder / "gone"), split, "both train/ and test/ are needed")

    def test_too_few_images(self, spoilt):
        spoilt(
            lambda folder: (folder / "test/airplane/0001.png").unlink(),
            "",
            "1 test images of 'airplane', not 2",
        )

    def test_too_many_images(self, spoilt):
        def spoil(folder):
            (folder / "test/airplane/more.png").write_bytes((folder / "test/airplane/0001.png").read_bytes())

        spoilt(spoil, "", "3 test images of 'airplane', not 2")

    @pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
    def test_no_image(self, spoilt, content):
        name = "train/airplane/0001.png"
        spoilt(lambda folder: (folder / name).write_bytes(content), name, "cannot be decoded", "32x32")

    @pytest.mark.parametrize("kept", [0.2, 0.6, 0.9])
    def test_truncated_image(self, spoilt, kept):
        name = "test/truck/0018.png"

        def spoil(folder):
            content = (folder / name).read_bytes()
            (folder / name).write_bytes(content[: int(kept * len(content))])

        spoilt(spoil, name, "cannot be decoded")

    @pytest.mark.parametrize("mode, size", [("RGB", (31, 32)), ("RGB", (64, 64)), ("L", (32, 32)), ("RGBA", (32, 32))])
    def test_wrong_size_or_colours(self, spoilt, mode, size):
        name = "train/bird/0010.png"
        spoilt(
            lambda folder: Image.new(mode, size).save(folder / name),
            name,
            f"{size[0]}x{size[1]} {mode}",
            "32x32 RGB",
        )


def test_class_folders_in_two_places(tiny, tmp_path, pack):
    for name in ("one", "two"):
        tiny.write_class_folders(tmp_path / "data" / name)
    refused(tmp_path / "data", tmp_path / "data", "one and two")
    archive = pack(tmp_path / "data", tmp_path / "a.tar")
    refused(archive, archive, "'one' and 'two'")


def test_a_path_comes_before_the_environment_and_that_before_the_default(monkeypatch, tmp_path):
    monkeypatch.delenv("SOFTSHARE_DATA_IMAGENET", raising=False)
    assert place_of("imagenet", None) == Path("results/data/imagenet")
    monkeypatch.setenv("SOFTSHARE_DATA_IMAGENET", str(tmp_path))
    assert place_of("imagenet", None) == place_of("imagenet", "") == tmp_path
    assert place_of("imagenet", "else/where") == Path("else/where")


def test_a_place_that_the_environment_names_and_is_not_there_is_no_download(monkeypatch, tmp_path):
    gone = tmp_path / "cifar-10-python.tar.gz"
    monkeypatch.setenv("SOFTSHARE_DATA_CIFAR10", str(gone))
    with pytest.raises(
        UserError, match=r"SOFTSHARE_DATA_CIFAR10: '.*gz': does not lie on this machine \(.+\); set it to"
    ):
        load_images("cifar10")
    assert not gone.exists()
