"""Error of a network on a set of images: top-1, top-5, loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from softshare.data.loaders import Loader
from softshare.errors import UserError
from softshare.training.device import autocast
from softshare.training.divergence import DivergedError
from softshare.training.processes import ALONE, Processes


@dataclass(frozen=True)
class Score:
    """Errors in percent, loss in nats, and the number of images behind them."""

    error: float
    top5_error: float
    loss: float
    images: int

    def as_json(self) -> dict[str, Any]:
        """As `metrics.json` holds it."""
        return dataclasses.asdict(self)


@torch.no_grad()
def evaluate(
    network: Callable[[Tensor], Tensor],
    model: nn.Module,
    loader: Loader,
    precision: str,
    processes: Processes = ALONE,
) -> Score:
    """Evaluates a model and leaves it in eval mode.

    Args:
        network: What is called: the model, or its compiled form.
        model: The model.
        loader: Images in a fixed order.
        precision: A resolved precision.
        processes: Those that share the images, each its part; an image is counted once.

    Returns:
        The score over all images.

    Raises:
        DivergedError: The loss is NaN or infinite.
    """
    model.eval()
    batches = []  # of (wrong, not among five, loss), on the device: reading them there would wait for each batch
    for images, labels in loader.epoch(0):
        with autocast(loader.device, precision):
            scores = network(images)
        scores = scores.float()
        hits = _best(scores) == labels[:, None]  # [B, 5]
        loss = nn.functional.cross_entropy(scores, labels, reduction="sum")
        wrong = (~hits[:, 0]).sum()
        missed = (~hits.any(dim=1)).sum()
        batches.append(torch.stack([wrong.float(), missed.float(), loss]))
    sums = torch.stack(batches).cpu().double().sum(0) if batches else torch.zeros(3, dtype=torch.float64)
    if processes.count > 1:
        sums = processes.sum(sums.to(loader.device)).cpu()
    count = loader.count
    if not sums.isfinite().all():
        raise DivergedError("the loss on test images is no number")
    return Score(100.0 * float(sums[0]) / count, 100.0 * float(sums[1]) / count, float(sums[2]) / count, count)


@torch.no_grad()
def mistakes(model: nn.Module, loader: Loader, precision: str) -> np.ndarray:
    """Which images a model gets wrong (top-1), [N] of bool in the loader's order; leaves it in eval mode.

    Raises:
        UserError: A score is NaN or infinite: the first class would be taken for the answer.
    """
    model.eval()
    wrong, finite = [], []
    for images, labels in loader.epoch(0):
        with autocast(loader.device, precision):
            scores = model(images)
        wrong.append(_best(scores.float())[:, 0] != labels)
        finite.append(scores.isfinite().all())
    if not torch.stack(finite).all():
        raise UserError("the scores of test images are no numbers", remedy="does model.safetensors hold NaN?")
    return torch.cat(wrong).cpu().numpy()


def _best(scores: Tensor) -> Tensor:
    """The five classes of the highest scores, or all of fewer: [B, C] of fp32 -> [B, 5].

    In bf16 the two highest are often the same number; which then counts must be the same wherever errors are counted.
    """
    return scores.topk(min(5, scores.shape[1]), dim=1).indices
