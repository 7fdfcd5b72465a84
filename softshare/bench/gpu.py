"""What sharing costs a training step on a GPU, and what share of the card's own peak such a step computes at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch

from softshare.bench.measure import Measured, alternate, alternate_fairly, median, paired_ratios
from softshare.bench.peak import count_flops, matrix_product, shares_of_peak
from softshare.bench.steps import bank_bytes, model_and_batch, plain_of, training_step
from softshare.training.device import free_cublas_workspaces, use_precision

_GPU = torch.device("cuda")
_TOGETHER = 5  # steps that are timed as one, so that the host runs ahead as it does in training
_SECONDS = 4.0
_SIDE = 8192


def bench_gpu_step(name: str, rounds: int) -> Iterator[Measured]:
    """Times a shared network's training step against the plain one's, as the engine takes it on this machine's GPU.

    Besides the ratio: images a second, operations a second over those of a matrix product of side 8192 that is timed in
    turn with the step, and the step's peak memory over the plain network's plus the bank.
    """
    model, batch = model_and_batch(name)
    plain = plain_of(model)
    precision = _as_the_engine()

    def steps_of(kind: str) -> Callable[[], None]:
        return _waited_for(training_step(kind, batch, device=_GPU))

    make = {kind: partial(steps_of, kind) for kind in (plain, model)}
    seconds = alternate_fairly(make, rounds, at_least_seconds=_SECONDS)
    yield median(name, paired_ratios(seconds[model], seconds[plain]), f"ratio ({precision})")
    for kind in (plain, model):
        yield median(f"{name}.{kind}.images", [batch * _TOGETHER / each for each in seconds[kind]], "images/s")
    yield median(f"{name}.of-peak", _shares_of_peak(model, batch, precision, rounds))
    ours, theirs = _peak_bytes(model, batch), _peak_bytes(plain, batch)
    yield Measured(f"{name}.memory", ours / (theirs + bank_bytes(model)))


def bench_gpu_recorded(name: str, rounds: int) -> Iterator[Measured]:
    """How many times faster a network trains as the engine does it, its steps recorded, than operation by operation."""
    model, batch = model_and_batch(name)
    precision = _as_the_engine()
    steps = {
        "one by one": _waited_for(training_step(model, batch, device=_GPU, records=False)),
        "recorded": _waited_for(training_step(model, batch, device=_GPU)),
    }
    seconds = alternate(steps, rounds, at_least_seconds=_SECONDS)
    yield median(name, paired_ratios(seconds["one by one"], seconds["recorded"]), f"ratio ({precision})")


def bench_gpu_compiled(name: str, rounds: int) -> Iterator[Measured]:
    """How many times faster a network trains on a GPU compiled than as the engine does it otherwise."""
    model, batch = model_and_batch(name)
    precision = _as_the_engine()
    steps = {
        "recorded": _waited_for(training_step(model, batch, device=_GPU)),
        "compiled": _waited_for(training_step(model, batch, device=_GPU, compiles=True)),
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


def _shares_of_peak(model: str, batch: int, precision: str, rounds: int) -> list[float]:
    step = training_step(model, batch, device=_GPU)
    flops = count_flops(step)  # of the first, which is not recorded
    product = matrix_product(_SIDE, precision, _GPU)
    seconds = alternate({"steps": _waited_for(step), "products": _waited_for(product)}, rounds)
    return shares_of_peak(flops, _SIDE, seconds["steps"], seconds["products"])


def _peak_bytes(model: str, batch: int) -> int:
    """Most memory that the allocator gave at once during a step, that of model and optimiser included."""
    free_cublas_workspaces()  # of what was timed before: not this step's
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    step = training_step(model, batch, device=_GPU)
    for _ in range(6):
        step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated()
