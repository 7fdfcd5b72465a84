"""How well a network marks shortest paths: F1 over all pixels of a set of examples."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from softshare.data.path_batches import path_batches
from softshare.data.shortest_paths import PathSet
from softshare.training.device import autocast
from softshare.training.divergence import DivergedError

_BATCH = 64  # small enough for a core's caches


@dataclass(frozen=True)
class PathScore:
    """What a network does on a set of examples.

    Attributes:
        f1: F1 of "on a shortest path" over all pixels of all examples together, 0 to 1.
        loss: Mean binary cross-entropy a pixel, in nats, not weighted.
        examples: How many there are.
    """

    f1: float
    loss: float
    examples: int


def f1_of(true_positives: int, false_positives: int, false_negatives: int) -> float:
    """F1 = 2 TP / (2 TP + FP + FN), as scikit-learn's `f1_score` reckons it; 0 where nothing is marked nor to be."""
    marked = 2 * true_positives + false_positives + false_negatives
    return 2 * true_positives / marked if marked else 0.0


@torch.no_grad()
def evaluate_paths(
    network: Callable[[Tensor], Tensor], model: nn.Module, examples: PathSet, precision: str
) -> PathScore:
    """Evaluates a model and leaves it in eval mode.

    Args:
        network: What is called: the model, or its compiled form.
        model: The model.
        examples: On the model's device.
        precision: A resolved precision.

    Returns:
        The score; a pixel is marked where its logit is above 0.

    Raises:
        DivergedError: The loss is NaN or infinite: a NaN is not above 0, and F1 alone would hide it.
    """
    batches = []  # of (TP, FP, FN) and of losses, on the device: reading them there would wait for each batch
    losses = []
    for logits, labels in _logits(network, model, examples, precision):
        marked, wanted = logits > 0, labels > 0
        batches.append(torch.stack([(marked & wanted).sum(), (marked & ~wanted).sum(), (~marked & wanted).sum()]))
        losses.append(nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum"))
    counts = torch.stack(batches).cpu().sum(0).tolist()
    loss = float(torch.stack(losses).cpu().double().sum()) / examples.labels.numel()
    if not math.isfinite(loss):
        raise DivergedError("the loss on test examples is no number")
    return PathScore(f1_of(*counts), loss, len(examples))


def with_statistics_anew(model: nn.Module, examples: PathSet, batch_size: int, precision: str) -> nn.Module:
    """A copy of a model with batch norm's statistics as the weights now are, not as they were a few steps ago.

    Running statistics move by a tenth a step, so that they lag behind weights that move fast. Here they are the mean of
    the batches' own, each batch counted alike, be the last one smaller.

    Args:
        model: It stays as it is, to the bit.
        examples: What the statistics are of, on the model's device; taken as they lie.
        batch_size: As in training.
        precision: A resolved precision.

    Returns:
        The copy, not compiled.
    """
    anew = copy.deepcopy(model)
    with autocast(examples.inputs.device, precision):
        update_bn((inputs for inputs, _ in path_batches(examples, batch_size)), anew.train())
    return anew


@torch.no_grad()
def predict_paths(model: nn.Module, examples: PathSet, precision: str) -> np.ndarray:
    """The probability of each point that it lies on a shortest path, float32 [N, side, side]; leaves eval mode on."""
    parts = [logits.sigmoid().cpu() for logits, _ in _logits(model, model, examples, precision)]
    return torch.cat(parts).numpy()


def _logits(
    network: Callable[[Tensor], Tensor], model: nn.Module, examples: PathSet, precision: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits and labels, float32 [B, side, side] each."""
    model.eval()
    device = examples.inputs.device
    for inputs, labels in path_batches(examples, _BATCH):
        with autocast(device, precision):
            logits = network(inputs)
        yield logits.float(), labels
