"""Batch norm and ReLU as one piece of compiled code, on a CPU with a C compiler; elsewhere torch does one by one.

Both are bound by memory traffic. In channels_last torch walks over the activations six times forward and eight
backward; here it is three times and five.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn

from softshare.compiled import address, library_beside
from softshare.sharing.capturing import has_memory, is_captured, is_transformed

_TYPES = {torch.float32: 0, torch.bfloat16: 1}
# Below this many numbers a thread's start costs more than it saves.
_SHARE = 1 << 15
library = library_beside(__file__, ("-O3", "-march=native", "-fopenmp", "-ffp-contract=fast"))


def norm_relu(norm: nn.BatchNorm2d, relu: nn.ReLU, x: Tensor, skipped: Tensor | None = None) -> Tensor:
    """relu(norm(x)), and what is skipped added to it where there is such.

    In training on a CPU, in channels_last, it is computed at once: from a mean and a variance summed in double, rounded
    to the type of x at the end alone.

    Args:
        norm: Its running mean and variance are brought up to date as its own forward does.
        relu: Called where the two are computed one by one.
        x: [N, C, H, W].
        skipped: Of the shape of x.

    Returns:
        [N, C, H, W].
    """
    if _serves(norm, relu, x, skipped):
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
        y, moments = _NormRelu.apply(x, norm.weight, norm.bias, skipped, norm.eps)
        _remember(norm, moments, x.numel() // x.shape[1])
        return y
    y = relu(norm(x))
    return y if skipped is None else skipped + y


def _serves(norm: nn.BatchNorm2d, relu: nn.ReLU, x: Tensor, skipped: Tensor | None) -> bool:
    if is_captured():  # first: a graph would break at what is asked next
        return False
    others = [x] if skipped is None else [x, skipped]
    return (
        norm.training
        and type(norm) is nn.BatchNorm2d
        and type(relu) is nn.ReLU
        and norm.affine
        and not _hooked(norm)
        and not _hooked(relu)
        and norm.weight.dtype == torch.float32
        and all(_is_taken(each) and each.dtype == x.dtype and each.shape == x.shape for each in others)
        and has_memory(x, norm.weight)
        and not is_transformed()
        and library() is not None
    )


def _is_taken(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype in _TYPES
        and x.dim() == 4
        and x.numel() > x.shape[1]  # of a single value there is no variance: torch says so
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def _hooked(module: nn.Module) -> bool:
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )


def _remember(norm: nn.BatchNorm2d, moments: Tensor, count: int) -> None:
    """Moves the running mean and variance towards those of a batch, as torch's own batch norm does."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    momentum = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(moments[0], momentum)
    norm.running_var.lerp_(moments[1] * (count / (count - 1)), momentum)


def _threads(x: Tensor) -> int:
    return max(1, min(torch.get_num_threads(), x.numel() // _SHARE))


class _NormRelu(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, skipped: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor]:
        code = library()
        assert code is not None
        channels = x.shape[1]
        moments = torch.empty(4, channels)  # mean, variance, scale, shift
        y = torch.empty_like(x)
        failed = code.softshare_norm_forward(
            address(x), None if skipped is None else address(skipped), _TYPES[x.dtype],
            ctypes.c_long(x.numel() // channels), ctypes.c_long(channels), address(weight), address(bias),
            ctypes.c_double(eps), _threads(x), address(moments), address(y),
        )  # fmt: skip
        if failed:
            raise MemoryError("no memory for the sums of a batch norm")
        ctx.save_for_backward(x, weight, bias, moments)
        ctx.eps, ctx.skips = eps, skipped is not None
        ctx.mark_non_differentiable(moments)
        return y, moments

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        x, weight, bias, moments = ctx.saved_tensors
        through = gradient if ctx.skips else None
        if torch.is_grad_enabled():  # a second derivative is wanted: operations that have one
            y = nn.functional.batch_norm(x, None, None, weight, bias, True, 0.0, ctx.eps).relu()
            wanted = [each for each in (x, weight, bias) if each.requires_grad]
            found = iter(torch.autograd.grad(y, wanted, gradient, create_graph=True))
            return (*(next(found) if each.requires_grad else None for each in (x, weight, bias)), through, None)
        code = library()
        assert code is not None
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        for_x, for_weight, for_bias = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(bias)
        channels = x.shape[1]
        failed = code.softshare_norm_backward(
            address(x), address(gradient), _TYPES[x.dtype], ctypes.c_long(x.numel() // channels),
            ctypes.c_long(channels), address(moments), ctypes.c_double(ctx.eps), _threads(x),
            address(for_weight), address(for_bias), address(for_x),
        )  # fmt: skip
        if failed:
            raise MemoryError("no memory for the sums of a batch norm's gradients")
        return for_x, for_weight, for_bias, through, None
