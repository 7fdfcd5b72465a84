"""The shortest-path task: what its data, its soft sharing and its precision cost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

from softshare.bench.measure import Measured, alternate, alternate_fairly, median, paired_ratios, timed
from softshare.bench.steps import plain_of
from softshare.data.path_examples import PathSettings
from softshare.data.shortest_paths import make_shortest_paths
from softshare.models import create_model
from softshare.recipes import load_recipe
from softshare.sharing import parameter_groups
from softshare.training.device import autocast, resolve_precision
from softshare.training.path_evaluation import evaluate_paths

_BATCH = 32  # small on purpose: the smaller the batch, the more the bank weighs
_EVALUATED = 128  # examples that an evaluation is timed with


def bench_path_data(name: str, rounds: int) -> Iterator[Measured]:
    """All data of the experiment at the paper's size, fingerprint included; a new seed each time. One core: numpy."""
    seeds = itertools.count()
    seconds = timed(lambda: make_shortest_paths(PathSettings(), next(seeds)), rounds)
    yield median(f"{name}.seconds", seconds, "s")


def bench_path_step(name: str, rounds: int) -> Iterator[Measured]:
    """The soft-shared network's training step against the plain one's, as the engine takes it here."""
    model = name.rpartition(".")[2]
    plain = plain_of(model)
    make = {kind: partial(path_step, kind, _BATCH) for kind in (plain, model)}
    seconds = alternate_fairly(make, rounds, at_least_seconds=15)
    precision = resolve_precision("auto", torch.device("cpu"))
    yield median(name, paired_ratios(seconds[model], seconds[plain]), f"ratio ({precision})")


def bench_path_throughput(name: str, rounds: int) -> Iterator[Measured]:
    """How many times faster cnn-20 trains in channels_last and the precision of this CPU than in fp32, NCHW."""
    precision = resolve_precision("auto", torch.device("cpu"))
    steps = {
        "plain": path_step("cnn-20", _BATCH, channels_last=False, precision="fp32"),
        "fast": path_step("cnn-20", _BATCH, precision=precision),
    }
    seconds = alternate(steps, rounds, at_least_seconds=15)
    yield median(name, paired_ratios(seconds["plain"], seconds["fast"]), f"ratio ({precision})")


def bench_path_evaluation(name: str, rounds: int) -> Iterator[Measured]:
    """What cnn-20's evaluations take, over its training steps, both at the paper's size.

    One is of the phase's test set, after each epoch; at the end of a phase come those of all other phases.
    """
    precision = resolve_precision("auto", torch.device("cpu"))
    whole, model = PathSettings(), create_model("cnn-20").to(memory_format=torch.channels_last)
    some = make_shortest_paths(PathSettings(windows=(21,), train=1, test=_EVALUATED)).phases[0].test
    functions: dict[str, Callable[[], object]] = {
        "step": path_step("cnn-20", _BATCH),
        "evaluation": lambda: evaluate_paths(model, model, some, precision),
    }
    seconds = alternate(functions, rounds, at_least_seconds=15)
    epochs, phases = load_recipe("paths")["epochs"], len(whole.windows)
    evaluations = (epochs + phases - 1) / epochs  # an epoch
    weight = evaluations * (whole.test / _EVALUATED) / math.ceil(whole.train / _BATCH)
    shares = [weight * each for each in paired_ratios(seconds["evaluation"], seconds["step"])]
    yield median(name, shares, f"ratio ({precision})")


def path_step(
    model_name: str, batch: int, *, channels_last: bool = True, precision: str = "auto"
) -> Callable[[], None]:
    """A training step of the paper (Adam at 0.01) on examples of the last phase, on this machine's CPU.

    Args:
        model_name: Such as `scnn-20`.
        batch: Examples a step.
        channels_last: Lay weights and activations out with the channels innermost.
        precision: auto, fp32 or bf16.
    """
    device = torch.device("cpu")
    precision = resolve_precision(precision, device)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    torch.manual_seed(0)
    model: nn.Module = create_model(model_name).to(memory_format=layout)
    optimizer = torch.optim.Adam(parameter_groups(model, 0.0), lr=0.01, fused=True)
    settings = PathSettings(windows=(21,), train=batch, test=1)
    examples = make_shortest_paths(settings).phases[0].train
    inputs = examples.inputs.float().to(memory_format=layout)
    labels = examples.labels.float()

    def step() -> None:
        with autocast(device, precision):
            logits = model(inputs)
        optimizer.zero_grad(set_to_none=True)
        nn.functional.binary_cross_entropy_with_logits(logits.float(), labels).backward()
        optimizer.step()

    return step
