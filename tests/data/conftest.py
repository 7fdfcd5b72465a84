"""A CIFAR-10 of a few images a class, and every form that it may lie in."""

import io
import pickle
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from softshare.data.catalogue import FACTS

TRAIN_PER_CLASS, TEST_PER_CLASS = 5, 2


class Python2Pickler(pickle._Pickler):
    """Writes strings and bytes alike as the strings of Python 2, in which CIFAR's own files are written."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, value):
        content = value.encode("latin-1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + len(content).to_bytes(4, "little") + content)

    dispatch[str] = dispatch[bytes] = save_string


def python2_pickle(value):
    file = io.BytesIO()
    Python2Pickler(file, protocol=2, fix_imports=False).dump(value)
    return file.getvalue().replace(b"numpy._core.", b"numpy.core.")


def batch(images, labels, key="labels"):
    return {
        "batch_label": "a batch",
        key: [int(label) for label in labels],
        "data": images.reshape(len(images), -1),
        "filenames": [f"{number}.png" for number in range(len(images))],
    }


@dataclass
class TinyCifar:
    """Random images, sorted by label, as class folders are read."""

    train_images: np.ndarray  # uint8 [50, 3, 32, 32]
    train_labels: np.ndarray  # [50]
    test_images: np.ndarray  # uint8 [20, 3, 32, 32]
    test_labels: np.ndarray  # [20]
    classes: tuple[str, ...]

    def write_batches(self, folder: Path, dumps=python2_pickle) -> Path:
        """The six files of CIFAR-10; the training images dealt to the five of them in turn."""
        folder.mkdir(parents=True)
        for number in range(5):
            part = slice(10 * number, 10 * number + 10)
            content = batch(self.train_images[part], self.train_labels[part])
            (folder / f"data_batch_{number + 1}").write_bytes(dumps(content))
        (folder / "test_batch").write_bytes(dumps(batch(self.test_images, self.test_labels)))
        (folder / "batches.meta").write_bytes(dumps({"label_names": list(self.classes)}))
        return folder

    def write_class_folders(self, folder: Path, suffix=".png", **options) -> Path:
        for split in ("train", "test"):
            images, labels = getattr(self, f"{split}_images"), getattr(self, f"{split}_labels")
            for number, (image, label) in enumerate(zip(images, labels, strict=True)):
                file = folder / split / self.classes[label] / f"{number:04}{suffix}"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.transpose(1, 2, 0)).save(file, **options)
        return folder


def packed(folder: Path, archive: Path, below: str = ".") -> Path:
    """A folder's content as a tar archive, below a folder of that name."""
    with tarfile.open(archive, "w:gz" if archive.name.endswith("gz") else "w") as tar:
        tar.add(folder, below)
    return archive


@pytest.fixture
def pack():
    return packed


@pytest.fixture
def write_kit():
    """Writes ILSVRC 2012's development kit, whose numbers are not the order of the labels."""

    def written(root: Path, synsets, truth, train=None) -> Path:
        folder = root / "ILSVRC2012_devkit_t12"
        (folder / "data").mkdir(parents=True)
        numbers = {synset: number for number, synset in enumerate(reversed(synsets), 1)}
        fields = ["ILSVRC2012_ID", "WNID", "words"] + ["num_train_images"] * (train is not None)
        table = np.zeros(len(synsets), [(name, object) for name in fields])
        for row, (synset, number) in enumerate(numbers.items()):
            counted = () if train is None else (float(train[synset]),)
            table[row] = (float(number), synset, "a word", *counted)
        savemat(folder / "data" / "meta.mat", {"synsets": table[:, None]})
        lines = "".join(f"{numbers[synset]}\n" for synset in truth)
        (folder / "data" / "ILSVRC2012_validation_ground_truth.txt").write_text(lines)
        return folder

    return written


@pytest.fixture
def dump_python2():
    return python2_pickle


@pytest.fixture
def as_batch():
    return batch


@pytest.fixture
def tiny(monkeypatch) -> TinyCifar:
    facts = replace(FACTS["cifar10"], train_per_class=TRAIN_PER_CLASS, test_per_class=TEST_PER_CLASS)
    monkeypatch.setitem(FACTS, "cifar10", facts)
    random = np.random.default_rng(0)
    labels = np.arange(10).repeat(TRAIN_PER_CLASS), np.arange(10).repeat(TEST_PER_CLASS)
    images = [random.integers(0, 256, (len(each), 3, 32, 32), np.uint8) for each in labels]
    return TinyCifar(images[0], labels[0], images[1], labels[1], facts.classes)


@pytest.fixture
def offline(monkeypatch):
    """Nothing is downloaded, whatever is asked for."""
    from torchvision.datasets import CIFAR10, CIFAR100

    monkeypatch.setenv("no_proxy", "*")
    for dataset in (CIFAR10, CIFAR100):
        monkeypatch.setattr(dataset, "url", "http://127.0.0.1:9/nothing.tar.gz")
