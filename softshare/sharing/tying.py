"""`tie`: layers that are alike enough get one weight, each with its signed scale (section 4.3 of the paper)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from softshare.sharing.bank import TemplateBank
from softshare.sharing.clusters import check_threshold, cluster_layers
from softshare.sharing.convert import banks, move_layers
from softshare.sharing.loops import Folding
from softshare.sharing.shared_layer import Bank
from softshare.sharing.similarity import Measure, bank_similarity, banks_to_compare, gram
from softshare.sharing.tied_bank import TiedBank
from softshare.sharing.wrapped import require_no_reducer


def tie(
    model: nn.Module,
    threshold: float = 0.8,
    *,
    of: Measure = "coefficients",
    groups: Collection[str] | None = None,
) -> nn.Module:
    """Ties the layers of each group that are alike, in place: soft sharing becomes hard (section 4.3).

    Layers are clustered by complete linkage, so that every pair in a cluster is at least `threshold` similar. The
    weights of a cluster become one, each layer keeping a signed scale: its weight is projected on the direction
    that fits all (unit) weights of the cluster best. At similarity 1 the function stays the same.

    Layers need only have weights of one shape to be tied: stride, padding and all else that a layer has besides
    its weight stay its own.

    Args:
        model: A model with shared layers. Layers that were tied before stay tied, and join others where their clusters
            are alike.
        threshold: Least similarity of a pair within a cluster, from 0 to 1. The paper ties "close to 0.8".
        of: What is compared: `coefficients`, as the paper does, or the effective `weights`.
        groups: Names of those to tie, as `banks` has them; the others stay as they are. All by default.

    Returns:
        The model itself, its template banks replaced by tied ones. An optimiser of before holds the parameters of
        those; make another.

    Raises:
        ValueError: A threshold outside [0, 1]; a group that is none; a model without shared layers, in DDP, folded
            already, on the meta device, or with NaN in its weights. The model is then unchanged.
    """
    require_no_reducer(model)
    clusters = find_clusters(model, threshold, of=of)
    if isinstance(groups, str):
        raise ValueError(f"groups are several names, such as [{groups!r}], not {groups!r}")
    if unknown := sorted(set(groups or ()) - clusters.keys()):
        raise ValueError(f"no group of shared layers is called {unknown[0]!r}: there are {', '.join(clusters)}")
    for group, bank in banks(model).items():
        if groups is not None and group not in groups:
            continue
        if not isinstance(bank, TiedBank) or clusters[group] != bank.clusters:
            move_layers(model, bank, _tied(bank, clusters[group]))
    return model


def find_clusters(model: nn.Module, threshold: float, *, of: Measure = "coefficients") -> dict[str, tuple[int, ...]]:
    """For each group the cluster of each layer, as `tie` would make them.

    Raises:
        ValueError: As `tie`.
    """
    threshold = check_threshold(threshold)
    found, name = banks_to_compare(model, of), type(model).__name__
    if isinstance(getattr(model, "folding", None), Folding):
        raise ValueError(f"{name} is folded already; take the network that it was made from")
    for group, bank in found.items():
        if bank.coefficients.device.type == "meta":
            raise ValueError(f"the weights of {name} are on the meta device and have no values to compare")
        if not all(parameter.isfinite().all() for parameter in bank.parameters()):
            raise ValueError(f"group {group!r} has NaN or infinity in its weights")
    return {group: _clusters(bank, threshold, of) for group, bank in found.items()}


def tie_like(model: nn.Module, ties: Sequence[tuple[Sequence[int], Sequence[int]]]) -> nn.Module:
    """Ties a model's layers as they were tied in another, in place; values are yet to be loaded.

    Args:
        model: A model with the same groups of shared layers, none of them tied.
        ties: For each group, in the order of `banks`, its `TiedBank.clusters` and `TiedBank.lenders`.

    Returns:
        The model itself.

    Raises:
        ValueError: The model's groups are others, or its layers are tied already.
    """
    found = banks(model)
    theirs, ours = [len(clusters) for clusters, _ in ties], [bank.num_layers for bank in found.values()]
    if ours != theirs:
        raise ValueError(f"it has groups of {ours or 'no'} shared layers, not of {theirs}")
    if any(isinstance(bank, TiedBank) for bank in found.values()):
        raise ValueError("its layers are tied already")
    for bank, (clusters, lenders) in zip(found.values(), ties, strict=True):
        move_layers(model, bank, TiedBank(clusters, lenders, bank, group=bank.group, layers=bank.layers))
    return model


def _clusters(bank: Bank, threshold: float, of: Measure) -> tuple[int, ...]:
    if isinstance(bank, TemplateBank):
        return cluster_layers(bank_similarity(bank, of).numpy(), threshold)
    lenders = list(bank.lenders)
    matrix = bank_similarity(bank, of)[lenders][:, lenders]
    merged = cluster_layers(matrix.numpy(), threshold)
    return tuple(merged[cluster] for cluster in bank.clusters)


@torch.no_grad()
def _tied(bank: Bank, clusters: tuple[int, ...]) -> TiedBank:
    """Projects each layer's weight on its cluster's common direction."""
    like: Bank = bank
    coefficients = bank.coefficients.cpu().double()  # [L, k]
    if isinstance(bank, TiedBank) and bank.mixed is not None:
        like = bank.mixed
        coefficients = coefficients @ like.coefficients.cpu().double()
    inner = gram(like.templates)  # [k, k]
    count = max(clusters) + 1
    directions = coefficients.new_zeros(count, coefficients.shape[1])  # [C, k]
    for cluster in range(count):
        members = coefficients[[layer for layer, own in enumerate(clusters) if own == cluster]]
        directions[cluster] = _common_direction(members, inner)
    own = directions[list(clusters)]  # [L, k]
    sizes = ((coefficients @ inner) * own).sum(1)  # [L]: signed length of each weight along its cluster's direction
    lenders = [_longest(sizes, clusters, cluster) for cluster in range(count)]
    tied = TiedBank(clusters, lenders, like, group=bank.group, layers=bank.layers)
    # A layer that is alone keeps its coefficients to the bit.
    alone = [clusters.count(cluster) == 1 for cluster in range(count)]
    rows = torch.stack(
        [
            coefficients[lender] if alone[cluster] else sizes[lender] * directions[cluster]
            for cluster, lender in enumerate(lenders)
        ]
    )  # [C, k]: the lenders' weights
    templates = like.templates
    if tied.mixed is not None:
        tied.mixed.coefficients.copy_(rows)
        tied.mixed.template_stack.copy_(templates.flatten(0, 1))
    else:
        assert tied.template_stack is not None
        weights = torch.einsum("ck,kn->cn", rows.to(templates), templates.flatten(1))
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
    members = [layer for layer, own in enumerate(clusters) if own == cluster]
    return max(members, key=lambda layer: float(sizes[layer].abs()))
