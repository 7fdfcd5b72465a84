"""The thin product as compiled code, on a CPU with a C compiler; elsewhere `synthesis` does it with torch.

A BLAS packs its operands, which for an L x k matrix times a k x millions one doubles the traffic; one pass of plain
C runs at the speed of memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from softshare.compiled import address, in_threads, library_beside
from softshare.sharing.capturing import has_memory

_TYPES = {torch.float32: 0, torch.bfloat16: 1}
library = library_beside(__file__, ("-O3", "-march=native", "-fopenmp-simd", "-ffp-contract=fast"))
# Below this many numbers a thread's start costs more than it saves.
_SHARE = 1 << 17


def serves(coefficients: Tensor, templates: Tensor, other: torch.dtype) -> bool:
    """Whether the compiled product takes coefficients [L, k], templates [k, N] and weights or gradients of a type."""
    return (
        # Gradients of all layers lie on the stack, a tile each.
        coefficients.shape[0] <= 256
        and coefficients.dtype == torch.float32
        and templates.device.type == "cpu"
        and templates.dtype == torch.float32
        and other in _TYPES
        and templates.numel() >= _SHARE
        and templates.stride(1) == 1
        and has_memory(coefficients, templates)
        and library() is not None
    )


def weights(coefficients: Tensor, templates: Tensor, dtype: torch.dtype) -> Tensor:
    """As `synthesis.synthesise`; `serves` tells for what."""
    code = library()
    assert code is not None
    coefficients = coefficients.contiguous()
    layers, count = coefficients.shape
    made = templates.new_empty(layers, templates.shape[1], dtype=dtype)
    pointers, targets = _rows(templates.unbind(0)), _rows(made.unbind(0))

    def part(first: int, last: int) -> None:
        code.softshare_weights(
            address(coefficients), layers, count, pointers, targets, _TYPES[dtype],
            ctypes.c_long(first), ctypes.c_long(last),
        )  # fmt: skip

    in_threads(part, templates.shape[1], _SHARE // 8, multiple=16)
    return made


def gradients(coefficients: Tensor, templates: Tensor, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """As `synthesis.synthesis_gradients`, for layers that all have a gradient [N] of one type."""
    code = library()
    assert code is not None
    coefficients = coefficients.contiguous()
    rows = [row.contiguous() for row in rows]
    layers, count = coefficients.shape
    for_templates = torch.empty_like(templates, memory_format=torch.contiguous_format)
    pointers, sources, targets = _rows(templates.unbind(0)), _rows(rows), _rows(for_templates.unbind(0))
    partial: dict[int, Tensor] = {}

    def part(first: int, last: int) -> None:
        partial[first] = torch.empty(layers, count, dtype=torch.float64, device=templates.device)
        code.softshare_gradients(
            address(coefficients), layers, count, pointers, sources, _TYPES[rows[0].dtype], targets,
            address(partial[first]), ctypes.c_long(first), ctypes.c_long(last),
        )  # fmt: skip

    in_threads(part, templates.shape[1], _SHARE // 8, multiple=16)
    total = torch.stack([partial[first] for first in sorted(partial)]).sum(0)
    return total.to(coefficients.dtype), for_templates


def _rows(tensors: Sequence[Tensor]) -> ctypes.Array:
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))
