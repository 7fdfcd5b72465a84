"""Initial templates and coefficients (section 4.1 and appendix B of the paper)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

INITIALISATIONS = ("orthogonal", "identity", "sparse", "normal", "uniform")


def initial_coefficients(layers: int, templates: int, scheme: str = "orthogonal") -> Tensor:
    """Draws the L x k matrix of coefficients (appendix B).

    The paper fixes the scale of the orthogonal start alone (columns of norm 1). The others are given the same
    expected column norm, so that they differ in direction and not in size.

    Args:
        layers: L, layers that share the bank.
        templates: k, templates in the bank.
        scheme: `orthogonal`: orthonormal columns. `identity`: layer i starts as template i; needs k = L.
            `normal`, `uniform`: independent entries. `sparse`: normal, half of each row set to zero at random
            (rounded down, so that no layer starts at zero).

    Returns:
        Coefficients [L, k].

    Raises:
        ValueError: An unknown scheme, `identity` with k != L, or `svd`, which needs weights to start from.
    """
    if scheme == "svd":
        raise ValueError("'svd' starts from the weights that layers have: share(model, init='svd'), not a bank alone")
    if scheme not in INITIALISATIONS:
        raise ValueError(f"unknown initialisation {scheme!r}; known: {', '.join(INITIALISATIONS)}; in share() also svd")
    # Nothing is orthogonalised in fp16 or bf16, should the default be one of them.
    dtype = torch.promote_types(torch.get_default_dtype(), torch.float32)
    coefficients = torch.empty(layers, templates, dtype=dtype)
    if scheme == "orthogonal":
        return nn.init.orthogonal_(coefficients)
    if scheme == "identity":
        if layers != templates:
            raise ValueError(f"the identity needs one template per layer, not {templates} for {layers} layers")
        return nn.init.eye_(coefficients)
    if scheme == "uniform":
        bound = math.sqrt(3 / layers)
        return nn.init.uniform_(coefficients, -bound, bound)
    if scheme == "normal":
        return nn.init.normal_(coefficients, std=layers**-0.5)
    zeros = templates // 2
    nn.init.normal_(coefficients, std=(layers * (templates - zeros) / templates) ** -0.5)
    dropped = torch.rand(layers, templates).argsort(dim=1)[:, :zeros]  # [L, k // 2]
    return coefficients.scatter_(1, dropped, 0.0)


def he_normal_(templates: Tensor) -> Tensor:
    """Fills stacked templates in place with fan-in He init (gain of ReLU); a template's fan is its layer's.

    Args:
        templates: [k * out, in, *kernel]; the fan-in is the product of all dimensions but the first.
    """
    fan_in = max(1, math.prod(templates.shape[1:]))
    with torch.no_grad():
        return templates.normal_(0.0, math.sqrt(2.0 / fan_in))
