"""`tie`: layers that are alike enough get one weight, each with its signed scale (section 4.3 of the paper)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from softshare.sharing.bank import TemplateBank
from softshare.sharing.clusters import check_threshold, cluster_layers
from softshare.sharing.convert import banks, move_layers
from softshare.sharing.similarity import gram, layer_similarity
from softshare.sharing.tied_bank import TiedBank

Measure = Literal["coefficients", "weights"]


def tie(model: nn.Module, threshold: float = 0.8, *, of: Measure = "coefficients") -> nn.Module:
    """Ties the layers of each group that are alike, in place: soft sharing becomes hard (section 4.3).

    Layers are clustered by complete linkage, so that every pair in a cluster is at least `threshold` similar. The
    weights of a cluster become one, each layer keeping a signed scale: its weight is projected on the direction
    that fits all (unit) weights of the cluster best. At similarity 1 the function stays the same.

    Layers need only have weights of one shape to be tied: stride, padding and all else that a layer has besides
    its weight stay its own.

    Args:
        model: A model with shared layers; layers tied before stay tied.
        threshold: Least similarity of a pair within a cluster, from 0 to 1. The paper ties "close to 0.8".
        of: What is compared: `coefficients`, as the paper does, or the effective `weights`.

    Returns:
        The model itself, its template banks replaced by tied ones.

    Raises:
        ValueError: A threshold outside [0, 1], or a model without shared layers. The model is then unchanged.
    """
    check_threshold(threshold)
    clusters = {group: cluster_layers(matrix, threshold) for group, matrix in layer_similarity(model, of=of).items()}
    for group, bank in banks(model).items():
        if isinstance(bank, TemplateBank):
            move_layers(model, bank, _tied(bank, clusters[group]))
    return model


def tie_like(model: nn.Module, ties: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]) -> nn.Module:
    """Ties a model's layers as they were tied in another, in place; values are yet to be loaded.

    Args:
        model: A model with the same groups of shared layers.
        ties: For each group its `TiedBank.clusters` and `TiedBank.lenders`.

    Returns:
        The model itself.

    Raises:
        ValueError: The model's groups are others.
    """
    found = banks(model)
    if {group: bank.num_layers for group, bank in found.items()} != {g: len(c) for g, (c, _) in ties.items()}:
        raise ValueError(f"groups of shared layers differ: {', '.join(found) or 'none'}, not {', '.join(ties)}")
    for group, bank in found.items():
        if isinstance(bank, TemplateBank):
            clusters, lenders = ties[group]
            move_layers(model, bank, TiedBank(clusters, lenders, bank, group=bank.group, layers=bank.layers))
    return model


@torch.no_grad()
def _tied(bank: TemplateBank, clusters: tuple[int, ...]) -> TiedBank:
    """Projects each layer's weight on its cluster's common direction."""
    coefficients = bank.coefficients.double()  # [L, k]
    inner = gram(bank.templates)  # [k, k]
    count = max(clusters) + 1
    directions = coefficients.new_zeros(count, coefficients.shape[1])  # [C, k]
    for cluster in range(count):
        members = coefficients[[layer for layer, own in enumerate(clusters) if own == cluster]]
        directions[cluster] = _common_direction(members, inner)
    own = directions[list(clusters)]  # [L, k]
    sizes = ((coefficients @ inner) * own).sum(1)  # [L]: signed length of each weight along its cluster's direction
    lenders = [_longest(sizes, clusters, cluster) for cluster in range(count)]
    tied = TiedBank(clusters, lenders, bank, group=bank.group, layers=bank.layers)
    # A cluster of one keeps its coefficients to the bit; so does nobody else.
    alone = [clusters.count(cluster) == 1 for cluster in range(count)]
    rows = torch.stack(
        [
            coefficients[lender] if alone[cluster] else sizes[lender] * directions[cluster]
            for cluster, lender in enumerate(lenders)
        ]
    )  # [C, k]: the lenders' weights
    if tied.mixed is not None:
        tied.mixed.coefficients.copy_(rows)
        tied.mixed.template_stack.copy_(bank.template_stack)
    else:
        assert tied.template_stack is not None
        weights = torch.einsum("ck,kn->cn", rows.to(bank.templates.dtype), bank.templates.flatten(1))
        tied.template_stack.copy_(weights.view(tied.template_stack.shape))
    for layer, cluster in enumerate(clusters):
        scale = tied.scale(layer)
        if scale is not None:
            lent = sizes[lenders[cluster]]
            scale.copy_(sizes[layer] / lent if lent else torch.zeros_like(lent))
    return tied


def _common_direction(members: Tensor, inner: Tensor) -> Tensor:
    """Coefficients [k] of the weight of norm 1 that is closest to all members' directions, up to sign.

    It is the leading right singular vector of the members' unit weights, found from their inner products.
    """
    norms = ((members @ inner) * members).sum(1).clamp(min=0).sqrt()  # [m]
    unit = members / norms.clamp(min=1e-30)[:, None]
    _, vectors = torch.linalg.eigh(unit @ inner @ unit.t())  # ascending
    direction = vectors[:, -1] @ unit  # [k]
    norm = (direction @ inner @ direction).clamp(min=0).sqrt()
    return direction / norm.clamp(min=1e-30)


def _longest(sizes: Tensor, clusters: tuple[int, ...], cluster: int) -> int:
    """The layer of a cluster with the largest weight: scales are then at most 1, and no division is by a small one."""
    return max(
        (layer for layer, own in enumerate(clusters) if own == cluster), key=lambda layer: float(sizes[layer].abs())
    )
