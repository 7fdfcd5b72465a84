"""What two settings are compared by: errors at the first guess or in the first five, or the loss in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from softshare.evidence.wording import number


@dataclass(frozen=True)
class Measure:
    """A number of each run.

    Attributes:
        has: What a setting does that has so much of it: `errs {} %`.
        less: What it does that has less of it than another.
        more: What it does that has more.
        unit: Of a difference.
        short: The unit within a sentence.
        decimals: That are shown.
    """

    has: str
    less: str
    more: str
    unit: str
    short: str
    decimals: int

    def told(self, values: Sequence[float]) -> str:
        """The mean of some runs for a reader."""
        return self.has.format(number(float(np.mean(values)), self.decimals))


MEASURES = {
    "error": Measure("errs {} %", "errs less than", "errs more than", "percentage points", "points", 2),
    "top5_error": Measure(
        "errs {} % in its first five guesses",
        "errs less in its first five guesses than",
        "errs more in its first five guesses than",
        "percentage points",
        "points",
        2,
    ),
    "train_loss": Measure(
        "ends training with a loss of {}",
        "ends training with less loss than",
        "ends training with more loss than",
        "nats",
        "nats",
        3,
    ),
}
