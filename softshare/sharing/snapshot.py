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
    """Two tensors as they are now: themselves, where their numbers lie, their version, whether they are trained.

    An optimiser's step, a load and a swap of the tensor all show in one of them. Tensors and storages are held, not
    their ids and addresses alone: of one that was freed, id and address go to the next that is made.
    """

    __slots__ = ("_one", "_other", "_state", "_storages")

    def __init__(self, one: Tensor, other: Tensor) -> None:
        self._one, self._other = one, other
        self._storages = (one.untyped_storage(), other.untyped_storage())
        self._state = _state(one, other)

    def holds(self, one: Tensor, other: Tensor) -> bool:
        """Whether these are the same tensors, unchanged."""
        return one is self._one and other is self._other and _state(one, other) == self._state


def _state(one: Tensor, other: Tensor) -> tuple[Any, ...]:
    return (
        torch.is_inference_mode_enabled(),
        _optimizer_steps[0],
        one.data_ptr(),
        other.data_ptr(),
        None if one.is_inference() else one._version,
        None if other.is_inference() else other._version,
        one.requires_grad,
        other.requires_grad,
    )
