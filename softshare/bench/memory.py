"""What training on CIFAR takes of the machine's memory: a process's, above that of one with torch and no more."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch

from softshare.bench.measure import Measured
from softshare.bench.steps import model_and_batch
from softshare.data.images import ImageSet
from softshare.recipes import load_recipe
from softshare.training.device import keep_freed_memory, resolve_precision
from softshare.training.engine import start_training
from softshare.training.evaluation import evaluate
from softshare.training.job import Job
from softshare.training.loading import make_loaders
from softshare.training.recipe import Recipe

_CPU = torch.device("cpu")
_STEPS = 8
_COUNTS = (50_000, 10_000)  # CIFAR's
_TOLD = "; from softshare.training.device import peak_memory_bytes; print(peak_memory_bytes(torch.device('cpu')))"
_OF_TORCH = "import torch" + _TOLD
_OF_TRAINING = (
    "import sys, torch; from softshare.bench.memory import train_a_little; "
    "train_a_little(sys.argv[1], int(sys.argv[2]))" + _TOLD
)


def bench_training_memory(name: str, rounds: int) -> Iterator[Measured]:
    """Most memory that a process held that trains and evaluates on images of CIFAR-10's shape and number; once."""
    model, batch = model_and_batch(name)
    above = _peak(_OF_TRAINING, model, str(batch)) - _peak(_OF_TORCH)
    yield Measured(name, above / 1e9, "GB above torch")


def train_a_little(model: str, batch: int, counts: tuple[int, int] = _COUNTS) -> None:
    """Takes some steps of the paper's recipe on random images and evaluates, as a run does, in this process.

    Args:
        model: Name of the network.
        batch: Images a step.
        counts: Images to train and to evaluate on.
    """
    keep_freed_memory()
    recipe = Recipe.from_settings(load_recipe("cifar") | {"batch_size": batch})
    job = Job("cifar10", model, "cifar", recipe, 0, _CPU, resolve_precision("auto", _CPU))
    images = _images(*counts)
    loaders = make_loaders(job, images)
    with tempfile.TemporaryDirectory() as folder:
        training = start_training(job, images, Path(folder) / "run")
        training.take_steps(islice(loaders.train.epoch(0), _STEPS), loaders.train.count, batch, 0, progress=False)
        evaluate(training.network, training.model, loaders.test, job.precision)
        training.save()


def _images(train: int, test: int) -> ImageSet:
    pixels, labels = (
        [torch.randint(most, (count, *shape), dtype=kind) for count in (train, test)]
        for most, shape, kind in ((256, (3, 32, 32), torch.uint8), (10, (), torch.int64))
    )
    classes, half = tuple("0123456789"), (0.5, 0.5, 0.5)
    return ImageSet(
        "cifar10", pixels[0], labels[0], pixels[1], labels[1], classes, "random", "0" * 64, half, half, True, 4
    )


def _peak(code: str, *arguments: str) -> int:
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])
