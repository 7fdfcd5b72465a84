"""Whether what is computed now is captured, faked or transformed, so that it is not what it seems."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch._C._functorch import is_legacy_batchedtensor
from torch.autograd import forward_ad

_PLAIN = (Tensor, nn.Parameter)


def is_plain(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are of PyTorch's own types; a subclass may be fake, or have its numbers elsewhere."""
    return type(one) in _PLAIN and type(other) in _PLAIN


def has_memory(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors, and what is made of them now, have their numbers where they say."""
    functional = torch._is_functional_tensor(one) or torch._is_functional_tensor(other)
    batched = is_legacy_batchedtensor(one) or is_legacy_batchedtensor(other)  # gradients with `is_grads_batched`
    return is_plain(one, other) and not functional and not batched and not is_captured()


def is_captured() -> bool:
    """Whether operations are captured as a graph (compile, export, jit, make_fx), or faked."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing() or _has_mode()


def is_transformed() -> bool:
    """Whether `torch.func` transforms what is computed, or it has tangents (forward-mode derivatives)."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def _has_mode() -> bool:
    # Modes of PyTorch's own beneath Python; others (a counter of operations) leave tensors as they are.
    if not torch._C._len_torch_dispatch_stack():
        return False
    kinds = torch._C._TorchDispatchModeKey
    return any(torch._C._get_dispatch_mode(kind) is not None for kind in (kinds.FAKE, kinds.PROXY, kinds.FUNCTIONAL))
