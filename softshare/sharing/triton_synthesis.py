"""Weight synthesis and its gradient on a GPU, each in one pass over memory; cuBLAS takes several times as long.

Both products are thin: L and k are 12 at most in the paper's networks for images, and N up to millions. Templates are
read once from memory and then, for each of the L sums, from the cache. Triton comes with PyTorch's builds for GPUs;
where it does not run, torch multiplies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from softshare.sharing.capturing import has_memory

# Every sum is a piece of the program; with few columns there are few programs to share it.
_MOST_SUMS, _FEWEST_COLUMNS = 144, 1 << 17
_COLUMNS = 1024  # of a program
_TYPES = (torch.float32, torch.bfloat16, torch.float16)


# By device, whether the kernels run there: tried once.
_tried: dict[torch.device, bool] = {}


def _kernels() -> Any:
    from softshare.sharing import triton_kernels  # Triton, which not every build of PyTorch has

    return triton_kernels


def _works_on(device: torch.device) -> bool:
    """Whether the kernels run on a GPU, found out with the first product there.

    While a graph is recorded nothing is tried: torch does it then, and the next product tries.
    """
    if device not in _tried:
        if torch.cuda.is_current_stream_capturing():
            return False
        _tried[device] = _runs_on(device)
    return _tried[device]


def _runs_on(device: torch.device) -> bool:
    one = torch.ones(1, 1, device=device)
    try:
        weights(one, one, torch.float32)
    # No Triton; or it lacks the C compiler or Python's headers, with which it makes its driver at the first launch, a
    # folder to write to, or an assembler that knows the GPU. Each is an error of its own kind, and torch needs none.
    except Exception:
        return False
    return True


def serves(coefficients: Tensor, templates: Tensor, dtype: torch.dtype) -> bool:
    """Whether the kernels take a product: large, of templates in fp32, on a GPU."""
    return (
        templates.is_cuda
        and templates.dtype == coefficients.dtype == torch.float32
        and dtype in _TYPES
        and coefficients.numel() <= _MOST_SUMS
        and templates.shape[1] >= _FEWEST_COLUMNS
        and has_memory(coefficients, templates)
        and _works_on(templates.device)
    )


def weights(coefficients: Tensor, templates: Tensor, dtype: torch.dtype) -> Tensor:
    """As `synthesis.synthesise`; `serves` tells for what."""
    coefficients, templates = coefficients.contiguous(), templates.contiguous()
    (layers, count), size = coefficients.shape, templates.shape[1]
    result = templates.new_empty(layers, size, dtype=dtype)
    kernel = _kernels().weights
    with torch.cuda.device_of(templates):
        kernel[(_programs(size),)](coefficients, templates, result, size, layers=layers, count=count, block=_COLUMNS)
    return result


def gradients(coefficients: Tensor, templates: Tensor, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """As `synthesis.synthesis_gradients`, for layers that all have a gradient [N] of one type."""
    coefficients, templates = coefficients.contiguous(), templates.contiguous()
    (layers, count), size = coefficients.shape, templates.shape[1]
    stacked = torch.stack(list(rows))  # [L, N]
    for_templates = torch.empty_like(templates)
    sums = templates.new_empty(_programs(size), layers * count)
    kernel = _kernels().gradients
    with torch.cuda.device_of(templates):
        kernel[(_programs(size),)](
            coefficients, templates, stacked, for_templates, sums, size, layers=layers, count=count, block=_COLUMNS
        )
    return sums.sum(0, dtype=torch.float64).to(coefficients.dtype).view(layers, count), for_templates


def _programs(size: int) -> int:
    return -(-size // _COLUMNS)
