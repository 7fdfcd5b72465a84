"""What layer similarity matrices of several seeds show, against chance. Arrays only.

Chance comes in two kinds. The start: with k < L templates rows of an orthogonal L x k matrix are alike by chance. The
order: if the order of the layers played no part, any permutation of them (rows and columns together) would be as
likely; that keeps every value of a matrix and only asks where it stands.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

PERMUTATIONS = 4999
STARTS = 4000

Matrices = Mapping[int, Sequence[np.ndarray]]  # by seed: a matrix [L, L] for each group


def off_diagonal(matrix: np.ndarray) -> np.ndarray:
    """Entries above the diagonal: [..., L, L] to [..., L (L - 1) / 2]."""
    rows, columns = np.triu_indices(matrix.shape[-1], k=1)
    return matrix[..., rows, columns]


@functools.cache
def starts(layers: int, templates: int) -> np.ndarray:
    """Layer similarity matrices of orthogonal starts, [STARTS, L, L], always the same ones (appendix B).

    For k < L only the columns of the L x k matrix are orthonormal; its rows are not.
    """
    random = np.random.default_rng(0).normal(size=(STARTS, layers, templates))
    coefficients = np.linalg.qr(random)[0]  # [STARTS, L, k]
    units = coefficients / np.linalg.norm(coefficients, axis=-1, keepdims=True)
    return np.clip(np.abs(units @ units.swapaxes(-1, -2)), 0.0, 1.0)


def p_of_largest(groups: Sequence[np.ndarray], templates: int) -> float:
    """How often the largest similarity of any group would be as large at an orthogonal start.

    Args:
        groups: A matrix [L, L] for each group of a run.
        templates: k, or more than L for one a layer.
    """
    miss = 1.0
    largest = max(float(off_diagonal(matrix).max()) for matrix in groups)
    for matrix in groups:
        layers = len(matrix)
        at_start = off_diagonal(starts(layers, min(templates, layers))).max(axis=-1)
        miss *= 1.0 - (1 + int(np.count_nonzero(at_start >= largest - 1e-9))) / (1 + STARTS)
    return 1.0 - miss


def chessboard(matrix: np.ndarray) -> np.ndarray:
    """Mean of S[i, i+2] less that of the means of S[i, i+1] and S[i, i+3]: [..., L, L] to [...].

    What rises or falls steadily with the distance of layers gives 0.
    """
    first, second, third = (
        np.diagonal(matrix, offset=offset, axis1=-2, axis2=-1).mean(axis=-1) for offset in (1, 2, 3)
    )
    return second - (first + third) / 2


def against_order(seeds: Matrices) -> tuple[float, float]:
    """The mean of `chessboard` over seeds and groups, and its one-sided p among permutations of the layers."""
    matrices = [matrix for groups in seeds.values() for matrix in groups]
    found = float(np.mean([chessboard(matrix) for matrix in matrices]))
    random = np.random.default_rng(0)
    permuted = np.mean([chessboard(_permuted(matrix, random)) for matrix in matrices], axis=0)
    return found, _share_as_large(permuted, found)


def correlation_with_final(early: Matrices, final: Matrices) -> tuple[dict[int, float], float | None]:
    """How the matrices of an early epoch correlate with the final ones: by seed, and the p among permutations.

    A group whose entries are all alike, early or late, has no correlation and is left out; a seed of such groups too.

    Returns:
        The mean correlation over the groups of each seed; the one-sided p of their mean, None without any seed.
    """
    random = np.random.default_rng(0)
    found: dict[int, float] = {}
    permuted: list[np.ndarray] = []
    for seed, groups in early.items():
        pairs = list(zip(groups, final[seed], strict=True))
        pairs = [(one, last) for one, last in pairs if _varies(one) and _varies(last)]
        if not pairs:
            continue
        found[seed] = float(np.mean([_standard(off_diagonal(a)) @ _standard(off_diagonal(b)) for a, b in pairs]))
        by_group = [_standard(off_diagonal(_permuted(a, random))) @ _standard(off_diagonal(b)) for a, b in pairs]
        permuted.append(np.mean(by_group, axis=0))
    if not found:
        return found, None
    return found, _share_as_large(np.mean(permuted, axis=0), float(np.mean(list(found.values()))))


def correlation_between_seeds(seeds: Matrices) -> tuple[float | None, float | None, float | None]:
    """How the matrices of different seeds correlate, and the one-sided p among permutations of each seed's layers.

    Returns:
        The mean correlation over pairs of seeds and groups, its p, and what 97.5 of 100 permutations stay below; None
        where no group varies in two seeds or more.
    """
    random = np.random.default_rng(0)
    found: list[float] = []
    permuted: list[np.ndarray] = []
    for groups in zip(*seeds.values(), strict=True):
        matrices = [matrix for matrix in groups if _varies(matrix)]
        if len(matrices) < 2:
            continue
        found.append(float(_mean_correlation(np.stack([_standard(off_diagonal(each)) for each in matrices]))))
        moved = np.stack([_standard(off_diagonal(_permuted(each, random))) for each in matrices])
        permuted.append(_mean_correlation(moved))
    if not found:
        return None, None, None
    by_chance = np.mean(permuted, axis=0)
    return (
        float(np.mean(found)),
        _share_as_large(by_chance, float(np.mean(found))),
        float(np.quantile(by_chance, 0.975)),
    )


def _mean_correlation(standard: np.ndarray) -> np.ndarray:
    """Mean inner product of all pairs of unit vectors: [seeds, ..., n] to [...]."""
    count = len(standard)
    return ((standard.sum(axis=0) ** 2).sum(axis=-1) - count) / (count * (count - 1))


def _permuted(matrix: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Permutations of a matrix's layers: [L, L] to [PERMUTATIONS, L, L]."""
    orders = random.permuted(np.tile(np.arange(len(matrix)), (PERMUTATIONS, 1)), axis=1)
    return matrix[orders[:, :, None], orders[:, None, :]]


def _standard(values: np.ndarray) -> np.ndarray:
    """Centred and of length 1, so that inner products are correlations: [..., n]."""
    centred = values - values.mean(axis=-1, keepdims=True)
    return centred / np.linalg.norm(centred, axis=-1, keepdims=True)


def _varies(matrix: np.ndarray) -> bool:
    return float(np.ptp(off_diagonal(matrix))) > 1e-6


def _share_as_large(permuted: np.ndarray, found: float) -> float:
    return (1 + int(np.count_nonzero(permuted >= found - 1e-9))) / (1 + len(permuted))
