"""What `softshare fold` left in a folder, read back: loops, similarities, costs. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from softshare.errors import UserError
from softshare.files import read_json
from softshare.sharing.loops import Loops, find_loops


@dataclass(frozen=True)
class FoldedAt:
    """A network folded at one threshold.

    Attributes:
        threshold: Least similarity of layers that became one.
        layers: Layers before, as the paper counts.
        distinct_layers: Layers after.
        stages: For each stage what its shared layers run.
    """

    threshold: float
    layers: int
    distinct_layers: int
    stages: dict[str, Loops]


@dataclass(frozen=True)
class FoldedRun:
    """A `folding.json`.

    Attributes:
        run: Dataset, model, recipe and seed.
        of: What was compared, `coefficients` or `weights`.
        threshold: The threshold that the kept network was folded at.
        similarity: Layer similarity matrices, [L, L] for each group.
        own_layers: For each stage how many layers of the shared ones' kernel share nothing.
        foldings: One for each threshold.
        costs: Rows of `folding.csv`, the first that of the network as it was trained.
        test_images: Images behind each error.
    """

    run: dict[str, Any]
    of: str
    threshold: float
    similarity: dict[str, np.ndarray]
    own_layers: dict[str, int]
    foldings: tuple[FoldedAt, ...]
    costs: tuple[dict[str, Any], ...]
    test_images: int

    @property
    def chosen(self) -> FoldedAt:
        """The folding at `threshold`."""
        return next(folding for folding in self.foldings if folding.threshold == self.threshold)


def read_folding(file: Path) -> FoldedRun:
    """Reads a `folding.json`.

    Raises:
        UserError: The file is missing, truncated, or not what `softshare fold` writes.
    """
    raw = read_json(file)
    try:
        foldings = tuple(
            FoldedAt(
                each["threshold"],
                each["layers"],
                each["distinct_layers"],
                {stage: find_loops(sequence) for stage, sequence in each["stages"].items()},
            )
            for each in raw["foldings"]
        )
        folded = FoldedRun(
            run=raw["run"],
            of=raw["of"],
            threshold=raw["threshold"],
            similarity={group: np.asarray(matrix, float) for group, matrix in raw["similarity"].items()},
            own_layers=raw["own_layers"],
            foldings=foldings,
            costs=tuple(raw["costs"]),
            test_images=raw["test_images"],
        )
        assert folded.chosen
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise UserError(f"is no result of folding ({error!r})", file=file, remedy="softshare fold writes it") from error
    return folded
