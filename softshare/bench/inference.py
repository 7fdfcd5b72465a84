"""What sharing costs when a trained network is used, and what it costs to share one that is trained already."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from softshare.bench.measure import Measured, alternate, median, paired_ratios
from softshare.models import create_model
from softshare.models.wide_resnet import shared_group
from softshare.sharing import share
from softshare.training.device import autocast, resolve_precision


def bench_inference(name: str, rounds: int) -> Iterator[Measured]:
    """Times a shared network's forward in eval against the plain one's, at this machine's precision.

    The weights are kept, so what is left of sharing is asking the bank for them.
    """
    _, model, batch = name.split(".")
    plain = model.removeprefix("s")
    size = int(batch.removeprefix("batch"))
    seconds: dict[str, list[float]] = {plain: [], model: []}
    for order in ((plain, model), (model, plain)):  # so that being made first favours neither
        taken = alternate(
            {kind: inference_step(create_model(kind), size) for kind in order}, rounds, at_least_seconds=15
        )
        for kind in order:
            seconds[kind] += taken[kind]
    precision = resolve_precision("auto", torch.device("cpu"))
    yield median(name, paired_ratios(seconds[model], seconds[plain]), f"ratio ({precision})")


def bench_start_from_weights(name: str, rounds: int) -> Iterator[Measured]:
    """Times `share(..., init="svd")` of a plain network with a template per layer: all templates are computed."""
    model_name = name.removeprefix("share.svd.")
    seconds = []
    for _ in range(rounds):
        model = create_model(model_name)
        start = time.perf_counter()
        share(model, None, shared_group, init="svd")
        seconds.append(time.perf_counter() - start)
    yield median(f"{name}.seconds", seconds, "s")


def inference_step(model: nn.Module, batch: int) -> Callable[[], None]:
    """Scores of random images in eval, as an evaluation takes them on this machine's CPU."""
    device = torch.device("cpu")
    precision = resolve_precision("auto", device)
    model.eval().to(memory_format=torch.channels_last)
    images: Tensor = torch.randn(batch, 3, 32, 32).to(memory_format=torch.channels_last)

    def step() -> None:
        with torch.no_grad(), autocast(device, precision):
            model(images)

    return step
