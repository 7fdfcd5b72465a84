"""What sharing costs a training step: SWRN against the WRN of the same shape."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from softshare.bench.measure import Measured, alternate, paired_ratio
from softshare.models import create_model
from softshare.sharing import banks, parameter_groups
from softshare.training.device import autocast, keep_freed_memory, peak_memory_bytes, resolve_precision

_SHAPES = ((28, 2, 128), (28, 10, 16), (28, 10, 128))  # depth, width, batch


def step_names() -> list[str]:
    """Names of the rows of `bench_steps`."""
    return [
        f"step.{name}.batch{batch}" for depth, width, batch in _SHAPES for name in _shared_names(depth, width)
    ]


def bench_step(name: str, rounds: int) -> Iterator[Measured]:
    """Times one shared network's training step against the plain one's, at the recipe's optimiser and precision."""
    _, model, batch = name.split(".")
    plain = "-".join(model.removeprefix("s").split("-")[:3])
    size = int(batch.removeprefix("batch"))
    steps = {kind: training_step(kind, size) for kind in (plain, model)}
    seconds = alternate(steps, rounds)
    yield Measured(name, paired_ratio(seconds[model], seconds[plain]))


def bench_memory(name: str, rounds: int) -> Iterator[Measured]:
    """Peak memory of a step with k = L, over the plain network's plus one more copy of the shared weights.

    Each is measured in a process of its own, above what that process held before it made the network.
    """
    model, batch = "swrn-28-10", 16
    shared, plain = (_peak_in_own_process(kind, batch) for kind in (model, model.removeprefix("s")))
    bank_bytes = sum(
        4 * bank.num_layers * bank.template_stack.numel() // bank.num_templates
        for bank in banks(create_model(model)).values()
    )
    yield Measured(name, shared / (plain + bank_bytes))


def training_step(model_name: str, batch: int) -> Callable[[], None]:
    """A step of the paper's recipe on random images, as the engine takes it on this machine's CPU."""
    device = torch.device("cpu")
    precision = resolve_precision("auto", device)
    torch.manual_seed(0)
    model: nn.Module = create_model(model_name)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    groups = parameter_groups(model, 5e-4)
    optimizer = torch.optim.SGD(groups, lr=1e-3, momentum=0.9, nesterov=True, fused=True)
    images: Tensor = torch.randn(batch, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(10, (batch,))

    def step() -> None:
        with autocast(device, precision):
            scores = model(images)
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(scores.float(), labels).backward()
        optimizer.step()

    return step


def _shared_names(depth: int, width: int) -> list[str]:
    return [f"swrn-{depth}-{width}", f"swrn-{depth}-{width}-2"]


def _peak_in_own_process(model: str, batch: int) -> int:
    command = [sys.executable, "-m", "softshare.bench.steps", model, str(batch)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _main(model: str, batch: str) -> None:
    keep_freed_memory()
    before = peak_memory_bytes(torch.device("cpu"))
    step = training_step(model, int(batch))
    for _ in range(3):
        step()
    print(peak_memory_bytes(torch.device("cpu")) - before)


if __name__ == "__main__":
    _main(*sys.argv[1:])
