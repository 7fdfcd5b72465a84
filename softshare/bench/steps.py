"""What sharing costs a training step: SWRN against the WRN of the same shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from softshare.bench.measure import Measured, alternate, alternate_fairly, median, paired_ratios
from softshare.models import create_model
from softshare.names import BottleneckName, parse_model_name
from softshare.sharing import banks, parameter_groups
from softshare.training.device import autocast, compiled, resolve_precision
from softshare.training.recorded_step import RecordedStep

_CPU = torch.device("cpu")
# In each order. One step over another spreads by 3 % or so here: a median to half a percent takes a hundred of them.
_SECONDS = 90


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
    shape, batch = model_and_batch(name)
    plain, shared = f"wrn-{shape}", (f"swrn-{shape}", f"swrn-{shape}-2")
    make = {kind: partial(training_step, kind, batch) for kind in (plain, *shared)}
    seconds = alternate_fairly(make, math.ceil(rounds / 2), at_least_seconds=_SECONDS)
    precision = resolve_precision("auto", torch.device("cpu"))  # bf16 where the hardware has it
    for model in shared:
        ratios = paired_ratios(seconds[model], seconds[plain])
        yield median(f"step.{model}.batch{batch}", ratios, f"ratio ({precision})")


def model_and_batch(name: str) -> tuple[str, int]:
    """The last two parts of a bench's name: swrn-28-10 and 16 of `memory.swrn-28-10.batch16`."""
    _, model, batch = name.rsplit(".", 2)
    return model, int(batch.removeprefix("batch"))


def plain_of(model: str) -> str:
    """The plain network of a shared one's shape: wrn-28-10 of swrn-28-10-2, cnn-20 of scnn-20."""
    return str(replace(parse_model_name(model), shared=False, templates=None))


def bank_bytes(model: str) -> int:
    """What the synthesised weights of a shared network take in fp32."""
    return sum(4 * bank.num_layers * math.prod(bank.weight_shape) for bank in banks(create_model(model)).values())


def bench_memory(name: str, rounds: int) -> Iterator[Measured]:
    """Peak of the tensors alive in a step with k = L, over the plain network's plus the bank (its synthesised weights).

    Counted allocation by allocation: unlike a process's size it does not depend on the allocator, so once is enough.
    """
    model, batch = model_and_batch(name)
    shared, plain = peak_tensor_bytes(model, batch), peak_tensor_bytes(plain_of(model), batch)
    yield Measured(name, shared / (plain + bank_bytes(model)))


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
    model, batch = model_and_batch(name)
    precision = resolve_precision("auto", torch.device("cpu"))
    steps = {
        "plain": training_step(model, batch, channels_last=False, precision="fp32", fused=False),
        "fast": training_step(model, batch),
    }
    seconds = alternate(steps, rounds)
    yield median(name, paired_ratios(seconds["plain"], seconds["fast"]), f"ratio ({precision})")


def bench_compiled(name: str, rounds: int) -> Iterator[Measured]:
    """How many times faster a network trains on a CPU compiled than as the engine does it, which is what is default."""
    model, batch = model_and_batch(name)
    precision = resolve_precision("auto", _CPU)
    steps = {"eager": training_step(model, batch), "compiled": training_step(model, batch, compiles=True)}
    seconds = alternate(steps, rounds)
    yield median(name, paired_ratios(seconds["eager"], seconds["compiled"]), f"ratio ({precision})")


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
