"""Whether what is computed now is captured, faked or transformed, so that it is not what it seems."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_PLAIN = (Tensor, nn.Parameter)


def is_plain(*tensors: Tensor) -> bool:
    """Whether tensors have their numbers where they say; a subclass, a fake tensor among them, need not."""
    return all(type(tensor) in _PLAIN and not torch._is_functional_tensor(tensor) for tensor in tensors)


def is_captured() -> bool:
    """Whether operations are captured as a graph (compile, export, jit, make_fx), or faked."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing() or _has_mode()


def is_transformed() -> bool:
    """Whether `torch.func` transforms what is computed."""
    return torch._C._are_functorch_transforms_active()


def _has_mode() -> bool:
    # Modes of PyTorch's own beneath Python; others (a counter of operations) leave tensors as they are.
    if not torch._C._len_torch_dispatch_stack():
        return False
    kinds = torch._C._TorchDispatchModeKey
    return any(torch._C._get_dispatch_mode(kind) is not None for kind in (kinds.FAKE, kinds.PROXY, kinds.FUNCTIONAL))
