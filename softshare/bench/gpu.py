"""What sharing costs a training step on a GPU, and what share of the card's own peak such a step computes at."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

from softshare.bench.measure import Measured, alternate, median, paired_ratios
from softshare.bench.peak import count_flops, matrix_product, shares_of_peak
from softshare.bench.steps import plain_of, training_step
from softshare.models import create_model
from softshare.sharing import banks
from softshare.training.device import use_precision

_GPU = torch.device("cuda")
_TOGETHER = 5  # steps that are timed as one, so that the host runs ahead as it does in training
_SECONDS = 4.0
_SIDE = 8192


def bench_gpu_step(name: str, rounds: int) -> Iterator[Measured]:
    """Times a shared network's training step against the plain one's, as the engine takes it on this machine's GPU.

    Besides the ratio: images a second, operations a second over those of a matrix product of side 8192 that is timed in
    turn with the step, and the step's peak memory over the plain network's plus the bank.
    """
    _, _, model, batch = name.split(".")
    size, plain = int(batch.removeprefix("batch")), plain_of(model)
    precision = _as_the_engine()
    seconds: dict[str, list[float]] = {plain: [], model: []}
    for order in ((plain, model), (model, plain)):  # so that being made first favours neither
        steps = {kind: _waited_for(training_step(kind, size, device=_GPU)) for kind in order}
        taken = alternate(steps, rounds, at_least_seconds=_SECONDS)
        for kind in order:
            seconds[kind] += taken[kind]
        del steps
    yield median(name, paired_ratios(seconds[model], seconds[plain]), f"ratio ({precision})")
    for kind in (plain, model):
        yield median(f"{name}.{kind}.images", [size * _TOGETHER / each for each in seconds[kind]], "images/s")
    yield median(f"{name}.of-peak", _shares_of_peak(model, size, precision, rounds))
    bank_bytes = sum(4 * bank.num_layers * math.prod(bank.weight_shape) for bank in banks(create_model(model)).values())
    yield Measured(f"{name}.memory", _peak_bytes(model, size) / (_peak_bytes(plain, size) + bank_bytes))


def bench_gpu_asking(name: str, rounds: int) -> Iterator[Measured]:
    """How many times faster a network trains as the engine does it, its steps recorded, than asked for bit by bit."""
    _, _, model, batch = name.split(".")
    size = int(batch.removeprefix("batch"))
    precision = _as_the_engine()
    steps = {
        "bit by bit": _waited_for(training_step(model, size, device=_GPU, records=False)),
        "recorded": _waited_for(training_step(model, size, device=_GPU)),
    }
    seconds = alternate(steps, rounds, at_least_seconds=_SECONDS)
    yield median(name, paired_ratios(seconds["bit by bit"], seconds["recorded"]), f"ratio ({precision})")


def bench_gpu_compiled(name: str, rounds: int) -> Iterator[Measured]:
    """How many times faster a network trains on a GPU compiled than as the engine does it otherwise."""
    _, _, model, batch = name.split(".")
    size = int(batch.removeprefix("batch"))
    precision = _as_the_engine()
    steps = {
        "recorded": _waited_for(training_step(model, size, device=_GPU)),
        "compiled": _waited_for(training_step(model, size, device=_GPU, compiles=True)),
    }
    seconds = alternate(steps, rounds, at_least_seconds=_SECONDS)
    yield median(name, paired_ratios(seconds["recorded"], seconds["compiled"]), f"ratio ({precision})")


def _as_the_engine() -> str:
    torch.backends.cudnn.deterministic = True
    return use_precision("auto", _GPU)


def _waited_for(step: Callable[[], object]) -> Callable[[], None]:
    def steps() -> None:
        for _ in range(_TOGETHER):
            step()
        torch.cuda.synchronize()

    return steps


def _shares_of_peak(model: str, size: int, precision: str, rounds: int) -> list[float]:
    step = training_step(model, size, device=_GPU)
    flops = count_flops(step)  # of the first, which is not recorded
    product = matrix_product(_SIDE, precision, _GPU)
    seconds = alternate({"steps": _waited_for(step), "products": _waited_for(product)}, rounds)
    return shares_of_peak(flops, _SIDE, seconds["steps"], seconds["products"])


def _peak_bytes(model: str, size: int) -> int:
    """Most memory that the allocator gave at once during a step, that of model and optimiser included."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    step = training_step(model, size, device=_GPU)
    for _ in range(6):
        step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated()
