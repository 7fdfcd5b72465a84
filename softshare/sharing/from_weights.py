"""The start "svd": a bank that begins as the best approximation of the weights that its layers have already."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from softshare.sharing.bank import TemplateBank

# Numbers of one layer that are held in float64 at a time: 10 layers take 20 MB.
_BLOCK = 1 << 18


@torch.no_grad()
def start_from_weights(bank: TemplateBank, weights: Sequence[Tensor]) -> None:
    """Sets a bank to the best approximation of L weights by k templates, in place (Eckart & Young, 1936).

    Of all banks with k templates none comes closer in the sum of squared errors; k = L gives the weights themselves.
    With W = U S V^T the weights flattened to [L, N], the coefficients become the first k columns of U, orthonormal
    as in the orthogonal start, and the templates U_k^T W. N is in the millions and L about ten, so U comes from the
    inner products W W^T [L, L], taken in float64: what is missed is below 1e-8 of the largest singular value.

    Args:
        bank: L layers, k templates. On the meta device it stays as it is.
        weights: L weights of the bank's `weight_shape`, in any memory format.

    Raises:
        ValueError: A weight that holds a NaN or an infinity.
    """
    if bank.template_stack.is_meta:
        return
    inner = torch.zeros(len(weights), len(weights), dtype=torch.float64)
    for _, block in _blocks(weights):
        inner += (block @ block.t()).cpu()
    if not inner.isfinite().all():
        raise ValueError("cannot start from weights that hold a NaN or an infinity")
    _, vectors = torch.linalg.eigh(inner)  # ascending
    left = vectors.flip(1)[:, : bank.num_templates]  # U_k [L, k]
    # A singular vector is free in its sign: its largest entry is made positive, so that equal weights start equal.
    left = left * left.gather(0, left.abs().argmax(0, keepdim=True)).sign()
    bank.coefficients.copy_(left)
    templates = bank.templates  # [k, out, ...]
    for rows, block in _blocks(weights):
        part = templates[:, rows]
        part.copy_((left.t().to(block.device) @ block).view(part.shape))
    bank.forget()


def _blocks(weights: Sequence[Tensor]) -> Iterator[tuple[slice, Tensor]]:
    """All weights some rows of their first dimension at a time: the rows, and their values [L, n] in float64."""
    out, *rest = weights[0].shape
    step = max(1, _BLOCK // max(1, math.prod(rest)))
    # MPS has no float64.
    device = weights[0].device if weights[0].device.type in ("cpu", "cuda") else torch.device("cpu")
    for start in range(0, out, step):
        rows = slice(start, start + step)
        yield rows, torch.stack([weight[rows] for weight in weights]).flatten(1).to(device).double()
