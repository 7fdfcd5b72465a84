"""The layer similarity matrix, its chance level, and the recurrence penalty (section 3.2 of the paper)."""

from __future__ import annotations

import functools
from collections import defaultdict
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from softshare.sharing.candidates import is_shared
from softshare.sharing.convert import banks
from softshare.sharing.grouping import GroupOf
from softshare.sharing.shared_layer import Bank
from softshare.sharing.synthesis import full_precision
from softshare.sharing.tied_bank import TiedBank

# What of layers is compared: the rows of coefficients, or the weights mixed by them.
Measure = Literal["coefficients", "weights"]
_MEASURES = get_args(Measure)


class Chance(NamedTuple):
    """Off-diagonal similarity expected from the initialisation alone."""

    mean: float
    maximum: float


def similarity(vectors: Tensor) -> Tensor:
    """S_ij = |<v_i, v_j>| / (|v_i| |v_j|), differentiable; a zero vector is similar to none.

    Args:
        vectors: [L, n].

    Returns:
        Similarities [L, L] in [0, 1].
    """
    with full_precision(vectors.device.type):
        unit = nn.functional.normalize(vectors, dim=1)
        return (unit @ unit.t()).abs().clamp(max=1.0)


@torch.no_grad()
def layer_similarity(model: nn.Module, of: Measure = "coefficients") -> dict[str, Tensor]:
    """The layer similarity matrices of a model.

    Args:
        model: A shared model.
        of: `coefficients` as the paper defines it, or the effective `weights`. The two agree only where the
            templates are orthogonal and of one norm. Tied layers that are no longer mixed from templates have no
            coefficients: of them it is the weights.

    Returns:
        For each group the matrix [L, L], in float32 on the CPU.

    Raises:
        ValueError: The model has no shared layers or is on the meta device, or `of` is neither.
    """
    return {group: bank_similarity(bank, of).float() for group, bank in banks_to_compare(model, of).items()}


def banks_to_compare(model: nn.Module, of: Measure = "coefficients") -> dict[str, Bank]:
    """The banks of a model, as `banks` gives them, once it is clear that they can be compared.

    Args:
        model: A model.
        of: What is to be compared.

    Returns:
        At least one bank.

    Raises:
        ValueError: The model has no shared layers, or `of` is neither `coefficients` nor `weights`.
    """
    if of not in _MEASURES:
        raise ValueError(f"similarity is of 'coefficients' or 'weights', not {of!r}")
    found = banks(model)
    if not found:
        raise ValueError(f"{type(model).__name__} has no shared layers; call share() first")
    return found


@torch.no_grad()
def bank_similarity(bank: Bank, of: Measure = "coefficients") -> Tensor:
    """The layer similarity matrix of one bank, [L, L] in float64 on the CPU: exact enough to tell equal from alike.

    Raises:
        ValueError: The bank is on the meta device.
    """
    if bank.coefficients.is_meta:
        raise ValueError(f"the weights of group {bank.group!r} are on the meta device and have no values to compare")
    if of == "coefficients" and (mixing := _mixing(bank)) is not None:
        return similarity(mixing.detach().cpu().double())
    coefficients = bank.coefficients.detach().cpu().double()
    # <W_i, W_j> = a_i G a_j with the templates' Gram matrix G: no weight is synthesised.
    inner = coefficients @ gram(bank.templates) @ coefficients.t()
    norms = inner.diagonal().clamp(min=0).sqrt()
    return (inner.abs() / (norms[:, None] * norms[None]).clamp(min=1e-30)).clamp(max=1.0)


def _mixing(bank: Bank) -> Tensor | None:
    """Coefficients [L, k] by which layers mix their weights from templates; None of tied layers that mix no more."""
    if not isinstance(bank, TiedBank):
        return bank.coefficients
    if bank.mixed is None:
        return None
    with full_precision(bank.coefficients.device.type):
        return bank.coefficients @ bank.mixed.coefficients


@torch.no_grad()
def unshared_similarity(model: nn.Module, groups: GroupOf) -> dict[str, Tensor]:
    """How alike the weights are of layers that share nothing, but would in the soft-shared network (Figure 2, left).

    Args:
        model: A plain network.
        groups: Function of (name, module) that gives a convolution's group in the shared network, or None.

    Returns:
        For each group of two layers or more the matrix [L, L], in float32 on the CPU.
    """
    weights: dict[str, list[Tensor]] = defaultdict(list)
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and not is_shared(module) and (group := groups(name, module)) is not None:
            weights[str(group)].append(module.weight.detach().flatten().cpu().double())
    return {group: similarity(torch.stack(each)).float() for group, each in weights.items() if len(each) > 1}


def gram(templates: Tensor) -> Tensor:
    """Inner products of templates `[k, *weight_shape]` with each other, [k, k] in float64 on the CPU."""
    stack = templates.detach().flatten(1).cpu().double()
    return stack @ stack.t()


def recurrence_penalty(model: nn.Module, diagonal: bool = True) -> Tensor:
    """To be subtracted from a loss: the sum of all entries of the layer similarity matrices (section 3.2).

    The paper's objective is `loss - lambda_R * recurrence_penalty(model)`: larger is more alike. At an `identity` start
    its gradient is exactly 0: no layer has anything in common with another.

    Args:
        model: A shared model. Of tied layers that are no longer mixed from templates the weights count.
        diagonal: Whether the constant diagonal counts, as the paper's formula reads. It changes no gradient.

    Returns:
        A scalar between 0 and the sum of L^2 over the groups.

    Raises:
        ValueError: The model has no shared layers.
    """
    total: Tensor | None = None
    for bank in banks_to_compare(model).values():
        mixing = _mixing(bank)
        if mixing is not None:
            matrix = similarity(mixing.float())
        else:
            assert isinstance(bank, TiedBank)
            # Layers of a cluster differ in scale and sign alone, which change no similarity.
            clusters = list(bank.clusters)
            matrix = similarity(bank.templates.flatten(1).float())[clusters][:, clusters]
        part = matrix.sum() if diagonal else matrix.sum() - matrix.diagonal().sum()
        total = part if total is None else total + part
    assert total is not None
    return total


@functools.cache
def chance_similarity(layers: int, templates: int, samples: int = 4000) -> Chance:
    """Off-diagonal layer similarity at an orthogonal start: what "close to 1" has to be held against.

    For k = L the coefficients are orthogonal and both are 0; for k = 1 both are 1; between them only the columns
    of the L x k matrix can be orthonormal, and rows are similar by chance. Another start (`init`) has another level.

    Args:
        layers: L.
        templates: k.
        samples: Random starts simulated, always the same ones.

    Returns:
        The mean over all pairs and the expected maximum.

    Raises:
        ValueError: k < 1, k > L, or fewer than two layers.
    """
    if layers < 2 or not 1 <= templates <= layers:
        raise ValueError(f"needs at least 2 layers and 1 to L templates, not L = {layers}, k = {templates}")
    if templates == layers:
        return Chance(0.0, 0.0)
    if templates == 1:
        return Chance(1.0, 1.0)
    generator = torch.Generator().manual_seed(0)
    starts, _ = torch.linalg.qr(torch.randn(samples, layers, templates, generator=generator, dtype=torch.float64))
    unit = nn.functional.normalize(starts, dim=2)
    matrices = (unit @ unit.transpose(1, 2)).abs()  # [samples, L, L]
    above = torch.triu_indices(layers, layers, offset=1)
    pairs = matrices[:, above[0], above[1]]  # [samples, pairs]
    return Chance(float(pairs.mean()), float(pairs.max(dim=1).values.mean()))
