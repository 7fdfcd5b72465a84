"""Where a training step's time goes: waiting for data, forward, backward, the optimiser, and synthesis within them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import torch

from softshare.bench.loading import cifar_loader
from softshare.bench.measure import Measured, median
from softshare.bench.steps import TrainingStep, model_and_batch, training_step
from softshare.bench.synthesis_watch import watched_synthesis
from softshare.training.device import resolve_precision

PARTS = ("data", "forward", "backward", "optimiser")


def bench_parts(name: str, rounds: int) -> Iterator[Measured]:
    """Shares of a step's time: of its parts, which come to 1, and of synthesis, which lies in forward and backward.

    A batch comes from the loader that CIFAR takes on a CPU; the step after it trains on images of its own.
    """
    model, batch = model_and_batch(name)
    step = training_step(model, batch)
    step()  # the first allocates
    batches = cifar_loader(batch, rounds).epoch(0)
    taken = [time_parts(step, lambda: next(batches)) for _ in range(rounds)]
    unit = f"of a step ({resolve_precision('auto', torch.device('cpu'))})"
    for part in (*PARTS, "synthesis"):
        yield median(f"{name}.{part}", [each[part] / sum(each[p] for p in PARTS) for each in taken], unit)


def time_parts(step: TrainingStep, load: Callable[[], object]) -> dict[str, float]:
    """Seconds of each of `PARTS` of one step, and of `synthesis` within them.

    Clearing the gradients counts as forward, computing the loss as backward.
    """
    stamps: list[float] = []
    syntheses: list[float] = []

    def stamp(*_: object) -> None:
        stamps.append(time.perf_counter())

    @contextlib.contextmanager
    def clock() -> Iterator[None]:
        start = time.perf_counter()
        yield
        syntheses.append(time.perf_counter() - start)

    hooks = [step.model.register_forward_hook(stamp), step.optimizer.register_step_pre_hook(stamp)]
    with watched_synthesis(clock):
        stamp()
        load()
        stamp()
        step()
        stamp()
    for hook in hooks:
        hook.remove()
    began, loaded, scored, derived, updated = stamps
    parts = dict(zip(PARTS, (loaded - began, scored - loaded, derived - scored, updated - derived), strict=True))
    return parts | {"synthesis": sum(syntheses)}
