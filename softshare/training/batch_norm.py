"""Batch norm over the images of all processes, so that their number does not change what is computed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


def synchronise_batch_norm(model: nn.Module, device: torch.device) -> nn.Module:
    """Lets each batch norm of a model take mean and variance over the batches of all processes.

    PyTorch's own does it on a GPU and refuses a CPU; there `SynchronisedBatchNorm2d` takes its place.

    Returns:
        The model itself, its batch norms of another class; parameters, buffers and their names are as before.
    """
    if device.type != "cpu":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SynchronisedBatchNorm2d
    return model


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over all processes, on a CPU, in any number of them, be their batches of one size or not."""

    def forward(self, images: Tensor) -> Tensor:
        """Normalises [B, C, H, W]; in training by mean and variance over the B of all processes."""
        if not self.training or distributed.get_world_size() == 1:
            return super().forward(images)
        values = images.float()
        here = values.new_tensor([values.numel() / values.shape[1]])
        count = _sum(here)
        mean = _sum(values.sum((0, 2, 3))) / count  # [C]
        centred = values - mean[:, None, None]
        variance = _sum(centred.square().sum((0, 2, 3))) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scale = (variance + self.eps).rsqrt() * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(images.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class _SumOverProcesses(torch.autograd.Function):
    """The sum over all processes. Each one's loss depends on it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return _sum(gradient)


def _sum(values: Tensor) -> Tensor:
    return _SumOverProcesses.apply(values)
