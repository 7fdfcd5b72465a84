"""Two networks on the same images: McNemar's exact test. No torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest


@dataclass(frozen=True)
class Paired:
    """How two networks differ on the same images.

    Attributes:
        only_before: Images that the first alone gets wrong.
        only_after: Images that the second alone gets wrong.
        p: Probability of a difference as large or larger if both err equally often (two-sided, exact).
    """

    only_before: int
    only_after: int
    p: float


def mcnemar(before: np.ndarray, after: np.ndarray) -> Paired:
    """McNemar's exact test.

    Images that both get right or both get wrong tell nothing; of the others, each network is as often the one in
    error if the two are equally good. Holds for one checkpoint before and after a change: seeds play no part.

    Args:
        before: Whether the first network is wrong, [N] of bool.
        after: The same of the second, on the same images.

    Raises:
        ValueError: Not of one length, or empty.
    """
    if before.shape != after.shape or before.ndim != 1 or not len(before):
        raise ValueError(f"needs mistakes on the same images, not {before.shape} and {after.shape}")
    only_before = int(np.count_nonzero(before & ~after))
    only_after = int(np.count_nonzero(after & ~before))
    discordant = only_before + only_after
    p = float(binomtest(only_before, discordant, 0.5).pvalue) if discordant else 1.0
    return Paired(only_before, only_after, p)
