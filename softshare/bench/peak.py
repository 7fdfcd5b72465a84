"""What share of the machine's own peak a training step computes at: that of a matrix product timed in turn with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from softshare.bench.measure import Measured, alternate, median, paired_ratios
from softshare.bench.steps import model_and_batch, training_step
from softshare.training.device import PRECISIONS, resolve_precision

SIDE = 2048
_SECONDS = 10.0


def bench_peak(name: str, rounds: int) -> Iterator[Measured]:
    """Operations a second of a training step, over those of a matrix product of side 2048, in this CPU's precision."""
    model, batch = model_and_batch(name)
    device = torch.device("cpu")
    precision = resolve_precision("auto", device)
    step = training_step(model, batch)
    flops = count_flops(step)
    functions: dict[str, Callable[[], object]] = {"step": step, "product": matrix_product(SIDE, precision, device)}
    seconds = alternate(functions, rounds, at_least_seconds=_SECONDS)
    shares = shares_of_peak(flops, SIDE, seconds["step"], seconds["product"])
    yield median(name, shares, f"of the peak ({precision})")


def bench_product(name: str, rounds: int) -> Iterator[Measured]:
    """How many times faster a matrix product of side 2048 is in this CPU's precision than in fp32, and both speeds.

    It is what a network that is all convolutions could gain at most from precision, were it at the peak in both.
    """
    device = torch.device("cpu")
    precision = resolve_precision("auto", device)
    functions: dict[str, Callable[[], object]] = {
        "auto": matrix_product(SIDE, precision, device),
        "fp32": matrix_product(SIDE, "fp32", device),
    }
    seconds = alternate(functions, rounds, at_least_seconds=_SECONDS)
    yield median(name, paired_ratios(seconds["fp32"], seconds["auto"]), f"ratio ({precision})")
    for kind, taken in seconds.items():
        yield median(f"{name}.{kind}", [2 * SIDE**3 / each / 1e9 for each in taken], "GFLOP/s")


def shares_of_peak(flops: int, side: int, steps: list[float], products: list[float]) -> list[float]:
    """Operations a second of a step over those of a product, by the seconds that as many of both took in turn."""
    return [flops / (2 * side**3) * each for each in paired_ratios(products, steps)]


def count_flops(step: Callable[[], object]) -> int:
    """Floating-point operations of a step's matrix products and convolutions; a multiply-add counts as two."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def matrix_product(side: int, precision: str, device: torch.device) -> Callable[[], Tensor]:
    """A product of two square matrices: 2 side^3 operations."""
    left, right = (torch.randn(side, side, device=device, dtype=PRECISIONS[precision]) for _ in range(2))
    return lambda: left @ right
