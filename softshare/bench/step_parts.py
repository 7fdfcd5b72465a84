"""Where a training step's time goes: waiting for data, forward, backward, the optimiser, and synthesis within them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch.profiler import ProfilerActivity, profile

from softshare.bench.loading import cifar_loader
from softshare.bench.measure import Measured, median
from softshare.bench.step_profile import shares_of
from softshare.bench.steps import TrainingStep, training_step
from softshare.training.device import resolve_precision

PARTS = ("data", "forward", "backward", "optimiser")


def bench_parts(name: str, rounds: int) -> Iterator[Measured]:
    """Shares of a step's time: of its parts, which come to 1, and of synthesis, which lies in forward and backward.

    The images come from the loader that CIFAR takes on a CPU. Synthesis is what the profiler sees of it among all
    operations of as many steps again.
    """
    _, model, batch = name.split(".")
    size = int(batch.removeprefix("batch"))
    step = training_step(model, size)
    step()  # the first allocates
    batches = cifar_loader(size, rounds).epoch(0)
    taken = [_timed(step, lambda: next(batches)) for _ in range(rounds)]
    unit = f"of a step ({resolve_precision('auto', torch.device('cpu'))})"
    for part in PARTS:
        yield median(f"{name}.{part}", [each[part] / sum(each.values()) for each in taken], unit)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(rounds):
            step()
    times = {event.key: event.self_cpu_time_total for event in profiler.key_averages()}
    yield Measured(f"{name}.synthesis", shares_of(times).get("synthesis", 0.0), unit)


def _timed(step: TrainingStep, load: Callable[[], object]) -> dict[str, float]:
    """Seconds of each part of one step; that the loss is computed counts as backward."""
    stamps = [time.perf_counter()]

    def stamp(*_: object) -> None:
        stamps.append(time.perf_counter())

    load()
    hooks = [
        step.model.register_forward_pre_hook(stamp),
        step.model.register_forward_hook(stamp),
        step.optimizer.register_step_pre_hook(stamp),
    ]
    step()
    stamp()
    for hook in hooks:
        hook.remove()
    began, loaded, scored, derived, updated = stamps
    return dict(zip(PARTS, (loaded - began, scored - loaded, derived - scored, updated - derived), strict=True))
