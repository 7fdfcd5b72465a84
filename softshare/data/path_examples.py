"""Random examples of the shortest-path task (section 4.4): the same bytes for a seed on every machine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal, get_args

import numpy as np

from softshare.clashes import require_windows_fit
from softshare.data.grids import MAX_SIDE, pack, shortest_path_points, single_cells, unpack
from softshare.data.seeding import LARGEST_SEED, epoch_seed
from softshare.errors import UserError, did_you_mean

Paths = Literal["all", "one"]
Split = Literal["train", "test"]

_BLOCK = 256  # examples drawn at a time: their bits stay in a core's cache
_MOST_DRAWS = 1000  # for each valid example, before the settings are given up


@dataclass(frozen=True)
class PathSettings:
    """What the examples are. The paper tells side, obstacles, windows and training examples; it leaves open the rest.

    Attributes:
        side: Rows and columns of a grid.
        obstacles: Probability that a cell is an obstacle, each for itself.
        windows: n of each phase: both coordinates of the two query points differ by n // 2 at most, so that each
            lies within an n x n window round the other.
        train: Training examples a phase.
        test: Test examples a phase, drawn apart from them.
        paths: Whether a label marks `all` shortest paths or only `one` of them; see `shortest_path_points`, which
            starts that one at the query point that comes first in reading order.

    Raises:
        UserError: A value out of range, or phases out of order.
    """

    side: int = 32
    obstacles: float = 0.1
    windows: tuple[int, ...] = (5, 9, 13, 17, 21)
    train: int = 5000
    test: int = 1000
    paths: Paths = "all"

    def __post_init__(self) -> None:
        _require_whole("side", self.side, 2, MAX_SIDE)
        _require_whole("train", self.train, 1)
        _require_whole("test", self.test, 1)
        number = isinstance(self.obstacles, Real) and not isinstance(self.obstacles, bool)
        if not number or not 0 <= self.obstacles < 1:
            raise UserError("must be a probability from 0 to below 1", key="obstacles", value=self.obstacles)
        if self.paths not in get_args(Paths):
            remedy = did_you_mean(self.paths, get_args(Paths))
            raise UserError("unknown kind of label", key="paths", value=self.paths, remedy=remedy)
        if not isinstance(self.windows, tuple | list) or not self.windows:
            raise UserError("must list a window for each phase", key="windows", value=self.windows)
        for window in self.windows:
            _require_whole("windows", window, 3)
        require_windows_fit(self.windows, self.side)


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples as bytes of 0 and 1.

    Attributes:
        inputs: The query points and the obstacles, uint8 [N, 2, side, side].
        labels: The points on a shortest path, both query points among them, uint8 [N, side, side].
    """

    inputs: np.ndarray
    labels: np.ndarray


def draw_examples(
    settings: PathSettings, phase: int, split: Split, seed: int = 0, count: int | None = None
) -> Examples:
    """Draws the examples of one phase and split.

    The first query point is drawn uniformly from the free cells of the grid, the second uniformly from the other
    free cells of the window round the first, so far as it lies inside the grid. An example is drawn again whole,
    obstacles too, where there is no such cell or no path to it. Probabilities are exact to within 2^-32.

    All chance comes from the raw stream of numpy's PCG64, which numpy promises to keep, and an equal part of it goes
    to each example drawn: examples do not depend on how many are asked for.

    Args:
        settings: What the examples are.
        phase: Counted from 1.
        split: `train` or `test`.
        seed: A whole number from 0; each of seed, phase and split draws for itself.
        count: How many; by default what the settings tell of the split.

    Raises:
        UserError: No such phase or split, a seed that is none, no examples asked for, or settings under which
            hardly any grid has two points with a path between them.
    """
    _require_whole("phase", phase, 1, len(settings.windows))
    _require_whole("seed", seed, 0, LARGEST_SEED)
    if split not in get_args(Split):
        raise UserError("unknown split", key="split", value=split, remedy=did_you_mean(split, get_args(Split)))
    count = {"train": settings.train, "test": settings.test}[split] if count is None else count
    _require_whole("examples", count, 1)
    stream = np.random.PCG64(epoch_seed(seed, 0, f"shortest paths, phase {phase}, {split}"))
    blocks: list[np.ndarray] = []
    found = drawn = 0
    while found < count:
        blocks.append(_draw_block(stream, settings, settings.windows[phase - 1]))
        found, drawn = found + len(blocks[-1]), drawn + _BLOCK
        if drawn >= 20 * _MOST_DRAWS and found * _MOST_DRAWS < drawn:
            raise UserError(
                f"only {found} of {drawn} grids drawn have two points with a path between them",
                key="obstacles",
                value=settings.obstacles,
                remedy="lower the probability",
            )
    cells = unpack(np.concatenate(blocks)[:count].reshape(-1, settings.side))
    cells = cells.reshape(count, 3, settings.side, settings.side)
    return Examples(np.ascontiguousarray(cells[:, :2]), np.ascontiguousarray(cells[:, 2]))


def _draw_block(stream: np.random.PCG64, settings: PathSettings, window: int) -> np.ndarray:
    """The valid of `_BLOCK` examples, bits [N, 3, side]: queries, obstacles, points on a shortest path."""
    side = settings.side
    words = -(-side * side // 2)  # of 64 bits, two cells each; two more choose the query points
    raw = stream.random_raw(_BLOCK * (words + 2)).reshape(_BLOCK, words + 2)
    chances = raw[:, :words].astype("<u8").view("<u4")[:, : side * side]
    free = chances >= round(settings.obstacles * 2**32)  # [B, side * side]
    first, _ = _choose(free, raw[:, words])
    second, there_is = _choose(free & _others_in_window(first, window, side), raw[:, words + 1])
    start = single_cells(np.minimum(first, second), side)
    goal = single_cells(np.maximum(first, second), side)
    free_bits = pack(free.reshape(-1, side, side))
    points, reached = shortest_path_points(free_bits, start, goal, settings.paths)
    obstacles = pack(~free.reshape(-1, side, side))
    return np.stack([start | goal, obstacles, points], axis=1)[there_is & reached]


def _choose(allowed: np.ndarray, chances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chooses one allowed cell of each row uniformly.

    Args:
        allowed: bool [B, cells], at most 1024 cells.
        chances: Random bits, uint64 [B].

    Returns:
        Index of the cell [B], 0 where none is allowed; and whether one is, bool [B].
    """
    ranks = allowed.cumsum(axis=1, dtype=np.uint16)
    counts = ranks[:, -1].astype(np.uint64)
    chosen = ((chances >> np.uint64(11)) * counts) >> np.uint64(53)  # the product stays below 2^64
    return (ranks > chosen.astype(np.uint16)[:, None]).argmax(axis=1), counts > 0


def _others_in_window(cells: np.ndarray, window: int, side: int) -> np.ndarray:
    """The window round a cell of each grid, without the cell: bool [B, side * side]."""
    line = np.arange(side)
    rows = abs(line - (cells // side)[:, None]) <= window // 2  # [B, side]
    columns = abs(line - (cells % side)[:, None]) <= window // 2
    inside = (rows[:, :, None] & columns[:, None, :]).reshape(len(cells), -1)
    inside[np.arange(len(cells)), cells] = False
    return inside


def _require_whole(key: str, value: object, least: int, most: float = math.inf) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) <= most:
        allowed = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
        raise UserError(f"must be a whole number {allowed}", key=key, value=value)
