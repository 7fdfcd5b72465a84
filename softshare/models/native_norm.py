"""Batch norm and ReLU as one piece of compiled code, on a CPU with a C compiler; elsewhere torch does one by one.

Both are bound by memory traffic. In channels_last torch walks over the activations six times forward and eight
backward; here it is three times and five.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from softshare.compiled import address, library_beside
from softshare.sharing.capturing import has_memory, is_captured, is_plain, is_transformed

_TYPES = {torch.float32: 0, torch.bfloat16: 1}
# Below this many numbers a thread's start costs more than it saves.
_SHARE = 1 << 15
library = library_beside(__file__, ("-O3", "-march=native", "-fopenmp", "-ffp-contract=fast"))


def norm_relu(norm: nn.BatchNorm2d, relu: nn.ReLU, x: Tensor, skipped: Tensor | None = None) -> Tensor:
    """relu(norm(x)), and what is skipped added to it where there is such.

    In training on a CPU, in channels_last, it is computed at once, and rounded to the type of x at the end alone.

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
    # First whether x may be asked anything: a graph that is captured would break, a tensor that is none would refuse.
    if is_captured() or is_transformed():
        return False
    others = [x] if skipped is None else [x, skipped]
    return (
        all(is_plain(each, x) and has_memory(each, x) for each in others)
        and norm.training
        and _is_as_made(norm, nn.BatchNorm2d)
        and _is_as_made(relu, nn.ReLU)
        and _has_all_buffers(norm) == norm.track_running_stats
        and all(_is_taken(each) and each.dtype == x.dtype and each.shape == x.shape for each in others)
        and all(_is_a_row(each, x.shape[1]) for each in (norm.weight, norm.bias))
        and library() is not None
    )


def _is_as_made(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module does what its kind does, and nobody listens."""
    own = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return type(module) is kind and not any(own) and not _has_any_global_hook() and "forward" not in vars(module)


def _has_all_buffers(norm: nn.BatchNorm2d) -> bool:
    return all(each is not None for each in (norm.running_mean, norm.running_var, norm.num_batches_tracked))


def _is_taken(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype in _TYPES
        and x.dim() == 4
        and x.numel() > x.shape[1]  # of a single value there is no variance: torch says so
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def _is_a_row(parameter: Tensor | None, channels: int) -> bool:
    return (
        parameter is not None
        and has_memory(parameter, parameter)
        and parameter.device.type == "cpu"
        and parameter.dtype == torch.float32
        and parameter.shape == (channels,)
        and parameter.is_contiguous()
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
        moments = x.new_empty(4, channels, dtype=torch.float32)  # mean, variance, scale, shift
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
        if torch.is_grad_enabled() or is_transformed() or not has_memory(gradient, x):
            return (*_gradients_by_torch(ctx, (x, weight, bias), gradient), through, None)
        code = library()
        assert code is not None
        # What was saved may come back in another layout, from hooks that keep it elsewhere.
        x, gradient = (each.contiguous(memory_format=torch.channels_last) for each in (x, gradient))
        moments = moments.contiguous()
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


def _gradients_by_torch(ctx: Any, tensors: tuple[Tensor, ...], gradient: Tensor) -> list[Tensor | None]:
    """The same gradients by operations that have a derivative and can be transformed."""
    wanted = ctx.needs_input_grad[:3]
    found: list[Tensor | None] = [None] * 3
    if not any(wanted):
        return found
    keep = torch.is_grad_enabled()
    with torch.enable_grad():
        # Aliases: else what x was computed from would be gone through as well.
        x, weight, bias = aliases = [each.view_as(each) for each in tensors]
        y = nn.functional.batch_norm(x, None, None, weight, bias, True, 0.0, ctx.eps).relu()
    chosen = [alias for alias, asked in zip(aliases, wanted, strict=True) if asked]
    values = iter(torch.autograd.grad(y, chosen, gradient, create_graph=keep))
    return [next(values) if asked else None for asked in wanted]
