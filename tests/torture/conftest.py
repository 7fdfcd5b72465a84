"""What attacks on data need."""

import pickle

import numpy as np
import pytest
from PIL import Image

from softshare.data.catalogue import FACTS


@pytest.fixture
def few_cifar():
    """Writes a CIFAR-10 of 5 training and 2 test images a class, as batches or as class folders."""

    def write(folder, form="batches"):
        random, classes = np.random.default_rng(0), FACTS["cifar10"].classes
        folder.mkdir(parents=True)
        parts = {f"data_batch_{number}": 1 for number in range(1, 6)} | {"test_batch": 2}
        for name, each in parts.items():
            labels = np.arange(10).repeat(each)
            images = random.integers(0, 256, (len(labels), 3, 32, 32), np.uint8)
            if form == "batches":
                content = {"data": images.reshape(len(images), -1), "labels": labels.tolist()}
                (folder / name).write_bytes(pickle.dumps(content, protocol=2))
                continue
            for number, (image, label) in enumerate(zip(images, labels, strict=True)):
                split = "test" if name == "test_batch" else "train"
                file = folder / split / classes[label] / f"{name}-{number:02}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.transpose(1, 2, 0)).save(file)
        return folder

    return write
