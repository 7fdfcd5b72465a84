"""The shortest-path task of section 4.4: five phases of growing distance, each a training and a test set."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from softshare.data.path_examples import Examples, PathSettings, Split, draw_examples


@dataclass(frozen=True, eq=False)
class PathSet:
    """Examples to train or to test on, as bytes of 0 and 1.

    Attributes:
        inputs: The query points and the obstacles, uint8 [N, 2, side, side].
        labels: The points on a shortest path, both query points among them, uint8 [N, side, side].
    """

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Phase:
    """One phase of the curriculum.

    Attributes:
        window: n: the query points lie within an n x n window round each other.
        train: What is trained on.
        test: What is tested on, drawn apart from it.
    """

    window: int
    train: PathSet
    test: PathSet


@dataclass(frozen=True, eq=False)
class ShortestPaths:
    """The data of the whole experiment.

    Attributes:
        settings: What the examples are.
        seed: Of the data.
        phases: In the order in which they are trained.
        fingerprint: SHA-256 over shapes, inputs and labels of all phases, of each the training set first.
    """

    settings: PathSettings
    seed: int
    phases: tuple[Phase, ...]
    fingerprint: str


def make_shortest_paths(settings: PathSettings | None = None, seed: int = 0) -> ShortestPaths:
    """Makes the data of all phases: at the paper's size about 92 MB, in a second or so on one core.

    Args:
        settings: What the examples are; the paper's by default.
        seed: Of the data, a whole number from 0.

    Raises:
        UserError: A seed below 0, or settings under which hardly any example is valid.
    """
    settings = PathSettings() if settings is None else settings
    digest = hashlib.sha256()

    def make(number: int, split: Split) -> PathSet:
        examples = draw_examples(settings, number, split, seed)
        _update(digest, examples)
        return PathSet(torch.from_numpy(examples.inputs), torch.from_numpy(examples.labels))

    phases = tuple(
        Phase(window, train=make(number, "train"), test=make(number, "test"))
        for number, window in enumerate(settings.windows, start=1)
    )
    return ShortestPaths(settings, seed, phases, digest.hexdigest())


def _update(digest: hashlib._Hash, examples: Examples) -> None:
    for cells in (examples.inputs, examples.labels):
        digest.update(f"{cells.dtype}{list(cells.shape)}".encode())
        digest.update(cells.data)
