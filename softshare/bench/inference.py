"""What sharing costs when a trained network is used, and what it costs to share one that is trained already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from softshare.bench.measure import Measured, alternate_fairly, median, paired_ratios, timed
from softshare.bench.steps import model_and_batch, plain_of
from softshare.models import create_model
from softshare.models.wide_resnet import shared_group
from softshare.sharing import share
from softshare.training.device import autocast, resolve_precision


def bench_inference(name: str, rounds: int) -> Iterator[Measured]:
    """Times a shared network's forward in eval against the plain one's, at this machine's precision.

    The weights are kept, so what is left of sharing is asking the bank for them.
    """
    model, batch = model_and_batch(name)
    plain = plain_of(model)

    def step_of(kind: str) -> Callable[[], None]:
        return inference_step(create_model(kind), batch)

    make = {kind: partial(step_of, kind) for kind in (plain, model)}
    seconds = alternate_fairly(make, rounds, at_least_seconds=15)
    precision = resolve_precision("auto", torch.device("cpu"))
    yield median(name, paired_ratios(seconds[model], seconds[plain]), f"ratio ({precision})")


def bench_start_from_weights(name: str, rounds: int) -> Iterator[Measured]:
    """Times `share(..., init="svd")` of a plain network with a template per layer: all templates are computed."""
    model_name = name.removeprefix("share.svd.")
    seconds: list[float] = []
    for _ in range(rounds):
        seconds += timed(partial(share, create_model(model_name), None, shared_group, init="svd"), 1)
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
