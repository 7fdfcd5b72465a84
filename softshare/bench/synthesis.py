"""Weight synthesis of one group, forward and backward: against a sum per layer, and against the memory's speed."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from softshare.bench.measure import Measured, alternate, median, paired_ratios
from softshare.sharing import TemplateBank

_LAYERS = _TEMPLATES = 6
_CHANNELS = 640


def bench_synthesis(prefix: str, rounds: int) -> Iterator[Measured]:
    """The third stage of SWRN 28-10: k = L = 6, 640 channels."""
    torch.manual_seed(0)
    bank = TemplateBank(_LAYERS, _TEMPLATES, (_CHANNELS, _CHANNELS, 3, 3))
    gradients = [torch.randn(bank.weight_shape) for _ in range(_LAYERS)]
    source = torch.randn(bank.template_stack.numel())
    target = torch.empty_like(source)

    def finish(weights: tuple[Tensor, ...]) -> None:
        torch.autograd.backward(weights, gradients)
        bank.zero_grad(set_to_none=True)
        bank.forget()

    def at_once() -> None:
        finish(bank())

    def one_by_one() -> None:
        templates = bank.templates.unbind(0)
        finish(
            tuple(
                sum((a * t for a, t in zip(row, templates, strict=True)), start=torch.zeros(()))
                for row in bank.coefficients.unbind(0)
            )
        )

    rounds = max(rounds, 15)
    against_sum = alternate({"at once": at_once, "one by one": one_by_one}, rounds)
    yield median(f"{prefix}.speedup-over-sum", paired_ratios(against_sum["one by one"], against_sum["at once"]))
    against_copy = alternate({"at once": at_once, "copy": lambda: target.copy_(source)}, rounds)
    # Forward: k templates read, L weights written. Backward: L gradients and k templates read, k gradients written.
    rows_moved = (_TEMPLATES + _LAYERS) + (_LAYERS + 2 * _TEMPLATES)
    copies = rows_moved / (2 * _TEMPLATES)  # a copy of k rows moves 2 k
    over_copy = paired_ratios(against_copy["at once"], against_copy["copy"])
    yield median(f"{prefix}.time-over-bytes", [each / copies for each in over_copy])
