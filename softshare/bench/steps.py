"""What sharing costs a training step: SWRN against the WRN of the same shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from softshare.bench.measure import Measured, alternate, median, paired_ratios
from softshare.models import create_model
from softshare.names import BottleneckName, parse_model_name
from softshare.sharing import banks, parameter_groups
from softshare.training.device import autocast, compiled, resolve_precision
from softshare.training.recorded_step import RecordedStep

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class TrainingStep:
    """A step of the paper's recipe on the same random images each time; called, it is taken."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    take: Callable[[], None]

    def __call__(self) -> None:
        """Takes the step."""
        self.take()


def bench_steps(name: str, rounds: int) -> Iterator[Measured]:
    """Times training steps with k = L and k = 2 against the plain network's, at the recipe's optimiser and precision.

    Args:
        name: The shape and its batch: `step.28-10.batch16`.
        rounds: Of all three in turn, made in one order and in the other: half of them each.
    """
    _, shape, batch = name.split(".")
    plain, shared = f"wrn-{shape}", (f"swrn-{shape}", f"swrn-{shape}-2")
    size = int(batch.removeprefix("batch"))
    seconds: dict[str, list[float]] = {kind: [] for kind in (plain, *shared)}
    for order in ((plain, *shared), (*reversed(shared), plain)):  # so that being made first favours none
        steps = {kind: training_step(kind, size) for kind in order}
        taken = alternate(steps, math.ceil(rounds / 2), at_least_seconds=30)
        del steps  # else the first three lie in memory while the others are timed
        for kind in order:
            seconds[kind] += taken[kind]
    precision = resolve_precision("auto", torch.device("cpu"))  # bf16 where the hardware has it
    for model in shared:
        yield median(f"step.{model}.{batch}", paired_ratios(seconds[model], seconds[plain]), f"ratio ({precision})")


def plain_of(model: str) -> str:
    """The plain network of a shared one's shape: wrn-28-10 of swrn-28-10-2."""
    return "-".join(model.removeprefix("s").split("-")[:3])


def bench_memory(name: str, rounds: int) -> Iterator[Measured]:
    """Peak of the tensors alive in a step with k = L, over the plain network's plus the bank (its synthesised weights).

    Counted allocation by allocation: unlike a process's size it does not depend on the allocator, so once is enough.
    """
    _, model, batch = name.split(".")
    size = int(batch.removeprefix("batch"))
    shared, plain = peak_tensor_bytes(model, size), peak_tensor_bytes(model.removeprefix("s"), size)
    bank_bytes = sum(4 * bank.num_layers * math.prod(bank.weight_shape) for bank in banks(create_model(model)).values())
    yield Measured(name, shared / (plain + bank_bytes))


def peak_tensor_bytes(model_name: str, batch: int) -> int:
    """Most bytes that tensors take at once in a training step, those of model and optimiser included."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step = training_step(model_name, batch)
        for _ in range(2):
            step()
    held = peak = 0
    events = (event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]")
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def bench_throughput(name: str, rounds: int) -> Iterator[Measured]:
    """How many times faster a network trains as the engine does it than in fp32, NCHW, eager.

    The plain step is given its images, without waiting for a loader: so it looks faster than it would be.
    """
    _, model, batch = name.split(".")
    size = int(batch.removeprefix("batch"))
    precision = resolve_precision("auto", torch.device("cpu"))
    steps = {
        "plain": training_step(model, size, channels_last=False, precision="fp32", fused=False),
        "fast": training_step(model, size),
    }
    seconds = alternate(steps, rounds)
    yield median(name, paired_ratios(seconds["plain"], seconds["fast"]), f"ratio ({precision})")


def training_step(
    model_name: str,
    batch: int,
    *,
    device: torch.device = _CPU,
    channels_last: bool = True,
    precision: str = "auto",
    fused: bool = True,
    compiles: bool = False,
    records: bool = True,
) -> TrainingStep:
    """A step of the paper's recipe on random images, by default as the engine takes it on this machine's CPU.

    On a GPU a step is given to it and not waited for.

    Args:
        model_name: Such as `swrn-28-10`, or `swrn-50-2`, which takes photographs.
        batch: Images a step.
        device: Where to compute.
        channels_last: Lay weights and activations out with the channels innermost.
        precision: auto, fp32 or bf16.
        fused: Let one operation update all parameters.
        compiles: Let torch compile the network, as `softshare train --compile` does.
        records: Record the step where the engine does, on a GPU.
    """
    precision = resolve_precision(precision, device)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    torch.manual_seed(0)
    photographs = isinstance(parse_model_name(model_name), BottleneckName)
    side, classes = (224, 1000) if photographs else (32, 10)
    model: nn.Module = create_model(model_name, classes).to(device)
    model.to(memory_format=layout)
    network = compiled(model, device) if compiles else model
    groups = parameter_groups(model, 5e-4)
    optimizer = torch.optim.SGD(groups, lr=1e-3, momentum=0.9, nesterov=True, fused=fused)
    images: Tensor = torch.randn(batch, 3, side, side).to(device).to(memory_format=layout)
    labels = torch.randint(classes, (batch,)).to(device)

    def backward(images: Tensor, labels: Tensor) -> Tensor:
        with autocast(device, precision):
            scores = network(images)
        loss = nn.functional.cross_entropy(scores.float(), labels)
        loss.backward()
        return loss.detach()

    gradients_of = RecordedStep(model, backward, records and device.type == "cuda" and not compiles and not photographs)

    def step() -> None:
        gradients_of(images, labels)
        optimizer.step()

    return TrainingStep(model, optimizer, step)
