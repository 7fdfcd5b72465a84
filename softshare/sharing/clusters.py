"""Which layers of a group are alike enough to be one: complete linkage on the layer similarity matrix. No torch."""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

# Cosines of equal vectors, in float64, fall short of 1 by rounding; a threshold of 1 means equal.
ROUNDING = 1e-12


def cluster_layers(similarity: ArrayLike, threshold: float) -> tuple[int, ...]:
    """Clusters the layers of a group so that every pair in a cluster is at least that similar (section 4.3).

    Complete linkage: the two clusters whose least similar pair is the most similar are merged first, as long as
    that pair is at or above the threshold. So no layer is tied to one that it does not resemble.

    Args:
        similarity: Layer similarity matrix [L, L], symmetric, entries in [0, 1].
        threshold: Least similarity of a pair within a cluster; 1 means equal up to rounding.

    Returns:
        The cluster of each layer, [L], numbered in the order of their first layers.

    Raises:
        ValueError: A threshold outside [0, 1], no symmetric matrix, or NaN in it.
    """
    # Slow to import, and training does without it.
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    threshold = check_threshold(threshold)
    matrix = np.asarray(similarity, dtype=float)
    if not np.isfinite(matrix).all():
        raise ValueError("a layer similarity matrix with NaN or infinity: has the training gone wrong?")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.allclose(matrix, matrix.T, atol=1e-5):
        raise ValueError(f"a layer similarity matrix is symmetric, [L, L], not of shape {list(matrix.shape)}")
    if len(matrix) < 2:
        return (0,) * len(matrix)
    distance = np.clip(1.0 - (matrix + matrix.T) / 2, 0.0, None)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method="complete")
    return renumbered(fcluster(tree, t=1.0 - threshold + ROUNDING, criterion="distance"))


def check_threshold(threshold: float) -> float:
    """A threshold of similarity as a float; what cannot be one is refused.

    Raises:
        ValueError: It is no number from 0 to 1.
    """
    if isinstance(threshold, bool) or not isinstance(threshold, Real) or not 0.0 <= threshold <= 1.0:
        raise ValueError(f"a threshold of similarity lies in [0, 1], not {threshold!r}")
    return float(threshold)


def renumbered(labels: ArrayLike) -> tuple[int, ...]:
    """Labels as numbers from 0 in the order in which they first appear."""
    order: dict[int, int] = {}
    return tuple(order.setdefault(int(label), len(order)) for label in np.asarray(labels))
