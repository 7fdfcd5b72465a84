"""What sharing costs a training step: SWRN against the WRN of the same shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from softshare.bench.measure import Measured, alternate, paired_ratio
from softshare.models import create_model
from softshare.names import BottleneckName, parse_model_name
from softshare.sharing import banks, parameter_groups
from softshare.training.device import autocast, compiled, resolve_precision
from softshare.training.recorded_step import RecordedStep

_CPU = torch.device("cpu")
_SHAPES = ((28, 2, 128), (28, 10, 16), (28, 10, 128))  # depth, width, batch


def step_names() -> list[str]:
    """Names of the rows of `bench_steps`."""
    return [f"step.{name}.batch{batch}" for depth, width, batch in _SHAPES for name in _shared_names(depth, width)]


def bench_step(name: str, rounds: int) -> Iterator[Measured]:
    """Times one shared network's training step against the plain one's, at the recipe's optimiser and precision."""
    _, model, batch = name.split(".")
    plain = plain_of(model)
    size = int(batch.removeprefix("batch"))
    seconds: dict[str, list[float]] = {plain: [], model: []}
    for order in ((plain, model), (model, plain)):  # so that being made first favours neither
        taken = alternate({kind: training_step(kind, size) for kind in order}, rounds, at_least_seconds=60)
        for kind in order:
            seconds[kind] += taken[kind]
    precision = resolve_precision("auto", torch.device("cpu"))  # bf16 where the hardware has it
    yield Measured(name, paired_ratio(seconds[model], seconds[plain]), f"ratio ({precision})")


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
    yield Measured(name, paired_ratio(seconds["plain"], seconds["fast"]), f"ratio ({precision})")


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
) -> Callable[[], None]:
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

    return step


def _shared_names(depth: int, width: int) -> list[str]:
    return [f"swrn-{depth}-{width}", f"swrn-{depth}-{width}-2"]
