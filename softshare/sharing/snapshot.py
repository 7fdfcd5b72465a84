"""What kept weights were computed from, told apart from what stands in its place now."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

# Steps taken by any optimiser in this process. A fused step changes parameters without a new version, and so does
# an optimiser that writes through `.data`; kept weights must not outlive either.
_optimizer_steps = [0]


def _count_step(*_: Any) -> None:
    _optimizer_steps[0] += 1


register_optimizer_step_post_hook(_count_step)


class Snapshot:
    """Some tensors as they are now: themselves, where their numbers lie, their version, whether they are trained.

    An optimiser's step, a load and a swap of the tensor all show in one of them. Tensors and storages are held, not
    their ids and addresses alone: of one that was freed, id and address go to the next that is made.
    """

    __slots__ = ("_state", "_storages", "_tensors")

    def __init__(self, *tensors: Tensor) -> None:
        self._tensors = tensors
        self._storages = [tensor.untyped_storage() for tensor in tensors]
        self._state = _state(tensors)

    def holds(self, *tensors: Tensor) -> bool:
        """Whether these are the same tensors, unchanged."""
        same = all(tensor is kept for tensor, kept in zip(tensors, self._tensors, strict=True))
        return same and _state(tensors) == self._state


def _state(tensors: tuple[Tensor, ...]) -> tuple[Any, ...]:
    state: list[Any] = [torch.is_inference_mode_enabled(), _optimizer_steps[0]]
    for tensor in tensors:
        state += [tensor.data_ptr(), None if tensor.is_inference() else tensor._version, tensor.requires_grad]
    return tuple(state)
