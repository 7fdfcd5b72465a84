"""The template bank: k templates, and the coefficients by which L layers mix their weights from them (Eq. 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from softshare.sharing.capturing import is_captured, is_plain, is_transformed
from softshare.sharing.initialise import he_normal_, initial_coefficients
from softshare.sharing.snapshot import Snapshot
from softshare.sharing.synthesis import (
    AttachSynthesis,
    Synthesis,
    as_weights,
    full_precision,
    in_memory_order,
    synthesise,
)

__all__ = ["TemplateBank"]


class TemplateBank(nn.Module):
    """k templates and L x k coefficients: W_i = sum_j a_ij T_j (Eq. 1 of the paper).

    All L weights are computed at once, when the first of them is asked for, and kept until the parameters change
    or a backward has gone through them. So a forward costs one matrix product, an evaluation none but the first.

    The templates are stacked along their first dimension in one parameter, which keeps the number of dimensions
    of a weight: `model.to(memory_format=torch.channels_last)` works, and weights come out in that format.

    Attributes:
        coefficients: Parameter [L, k].
        template_stack: Parameter `[k * out, in, *kernel]`; see `templates`.
        weight_shape: Shape of one weight.
        group: Name of the group of layers, set by `share`.
        layers: Names of the layers, set by `share`.
    """

    def __init__(
        self,
        layers: int,
        templates: int | None = None,
        weight_shape: Sequence[int] = (),
        init: str = "orthogonal",
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Makes a bank with fan-in He templates.

        Args:
            layers: L, layers that take their weight from the bank.
            templates: k; None = L.
            weight_shape: Shape of one weight, at least one-dimensional.
            init: How the coefficients start, one of `softshare.sharing.INITIALISATIONS`.
            device: Where the parameters lie.
            dtype: Their type.

        Raises:
            ValueError: k < 1, k > L, an empty weight shape, numbers that are not real, or an unknown `init`.
        """
        super().__init__()
        templates = layers if templates is None else templates
        if templates < 1:
            raise ValueError(f"a bank needs at least one template, not {templates}")
        if templates > layers:
            raise ValueError(f"{templates} templates are more than the {layers} layers that share them")
        if not weight_shape:
            raise ValueError("a bank needs the shape of a weight")
        if dtype is not None and not dtype.is_floating_point:
            raise ValueError(f"a bank mixes real numbers, not {dtype}")
        self.weight_shape = tuple(weight_shape)
        self.group = ""
        self.layers: tuple[str, ...] = ()
        self.init = init
        stack = torch.empty(templates * self.weight_shape[0], *self.weight_shape[1:], device=device, dtype=dtype)
        self.template_stack = nn.Parameter(he_normal_(stack))
        coefficients = initial_coefficients(layers, templates, init)
        self.coefficients = nn.Parameter(coefficients.to(device=device, dtype=dtype or stack.dtype))
        self._kept: dict[torch.dtype, Synthesis] = {}
        self._traced: tuple[Tensor, ...] | None = None

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws templates and coefficients anew, as at the start; a start from weights becomes an orthogonal one."""
        he_normal_(self.template_stack)
        scheme = "orthogonal" if self.init == "svd" else self.init
        self.coefficients.copy_(initial_coefficients(self.num_layers, self.num_templates, scheme))
        self.forget()

    @property
    def mixes(self) -> bool:
        """Whether the coefficients are trained."""
        return self.coefficients.requires_grad

    @property
    def num_layers(self) -> int:
        """L, layers that share the bank."""
        return self.coefficients.shape[0]

    @property
    def num_templates(self) -> int:
        """k, templates in the bank."""
        return self.coefficients.shape[1]

    @property
    def templates(self) -> Tensor:
        """The templates, a view `[k, *weight_shape]`."""
        return self.template_stack.unflatten(0, (self.num_templates, self.weight_shape[0]))

    def forward(self) -> tuple[Tensor, ...]:
        """The L weights, each of `weight_shape`."""
        return tuple(self.weight(layer) for layer in range(self.num_layers))

    def weight(self, layer: int, *, autocasts: bool = False) -> Tensor:
        """The weight of one layer.

        Args:
            layer: Its index in the bank.
            autocasts: Whether the operation that takes it is one that autocast runs in lower precision; the
                weight then comes in that precision at once.

        Returns:
            Weight of `weight_shape`; part of the graph where gradients are recorded.
        """
        coefficients, stack = self.coefficients, self.template_stack
        if is_captured() or is_transformed() or not is_plain(coefficients, stack):
            return self._traced_weight(layer)
        dtype = _dtype(stack, autocasts)
        kept = self._kept.get(dtype)
        if kept is not None and kept.is_written_to:
            self._refuse_writing()
        if kept is None or kept.made_from is None or not kept.made_from.holds(coefficients, stack):
            if stack.device.type == "cpu" and (stack.is_shared() or coefficients.is_shared()):
                return self._traced_weight(layer)  # another process may change them at any time
            self._kept.pop(dtype, None)
            del kept  # frees the old weights before the new ones are made
            values = self._synthesise(dtype)
            if not is_plain(values, values):  # a mode is on that makes other tensors, which must not outlive it
                return self._traced_weight(layer)
            kept = self._kept[dtype] = Synthesis(Snapshot(coefficients, stack), values)
        if not (torch.is_grad_enabled() and (coefficients.requires_grad or stack.requires_grad)):
            if kept.constants is None:
                assert kept.values is not None
                kept.constants = as_weights(kept.values, stack, self.weight_shape)
            return kept.constants[layer]
        if kept.weights is None:
            kept.weights = AttachSynthesis.apply(coefficients, stack, kept, self.weight_shape)
        return kept.weights[layer]

    def forget(self) -> None:
        """Drops the kept weights; needed after a change that PyTorch cannot see, such as one through `.data`."""
        self._kept = {}
        self.close_trace()

    def forget_constants(self) -> None:
        """Drops kept weights that are no part of a graph, where the bank is trained.

        Raises:
            RuntimeError: A kept weight was written to.
        """
        self._look_for_writing()
        if self.coefficients.requires_grad or self.template_stack.requires_grad:
            self._kept = {dtype: kept for dtype, kept in self._kept.items() if kept.weights is not None}

    def open_trace(self) -> None:
        """Begins a traced forward: the weights are computed once, inside the graph, and serve until `close_trace`."""
        # Now, not when the first is asked for: that may be in a checkpoint or a branch of `torch.cond`, whose values
        # must not leave it. And each apart, for such a branch takes no two inputs that lie in the same memory.
        with full_precision(self.template_stack.device.type):
            rows = in_memory_order(self.template_stack, self.num_templates)
            weights = as_weights(self.coefficients @ rows, self.template_stack, self.weight_shape)
            self._traced = tuple(weight.clone() for weight in weights)

    def close_trace(self) -> None:
        """Ends a traced forward."""
        if self._traced is not None:
            self._traced = None

    def _look_for_writing(self) -> None:
        if any(kept.is_written_to for kept in self._kept.values()):
            self._refuse_writing()

    def _refuse_writing(self) -> NoReturn:
        self.forget()
        layers = f" ({', '.join(self.layers[:2])} or another of its group)" if self.layers else ""
        raise RuntimeError(
            f"the weight of a shared layer{layers} was written to, but it is mixed from a bank and the bank stays: "
            "change its `template_stack` and `coefficients` instead (`reset_parameters()` draws them anew), or "
            "initialise or load the model before `share(model, init='svd')`, which starts from its weights"
        )

    def _synthesise(self, dtype: torch.dtype) -> Tensor:
        with torch.no_grad(), full_precision(self.template_stack.device.type):
            return synthesise(self.coefficients, in_memory_order(self.template_stack, self.num_templates), dtype)

    def _traced_weight(self, layer: int) -> Tensor:
        if self._traced is not None:
            return self._traced[layer]
        # A part of the model is traced alone: nothing tells where a forward begins.
        with full_precision(self.template_stack.device.type):
            row = self.coefficients[layer : layer + 1] @ in_memory_order(self.template_stack, self.num_templates)
            return as_weights(row, self.template_stack, self.weight_shape)[0]

    def train(self, mode: bool = True) -> TemplateBank:
        """As `nn.Module.train`; the kept weights are dropped.

        Raises:
            RuntimeError: A kept weight was written to.
        """
        self._look_for_writing()
        self.forget()
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> TemplateBank:
        self.forget()
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.forget()
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": {}, "_traced": None}

    def extra_repr(self) -> str:
        """Shapes, as `print(model)` shows them."""
        shape = "x".join(map(str, self.weight_shape))
        return f"layers={self.num_layers}, templates={self.num_templates}, weight={shape}, init={self.init}"


def _dtype(stack: Tensor, autocasts: bool) -> torch.dtype:
    """The type in which a weight is wanted."""
    if autocasts and stack.dtype == torch.float32:
        device = stack.device.type
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            return torch.get_autocast_dtype(device)
    return stack.dtype
