"""W = A T, and its gradient: all weights of a group from one thin matrix product (Eq. 1 of the paper).

The product is L x k times k x N with N = out * in * kh * kw, in the millions, and L, k <= 10 or so: it is bound
by memory traffic. It is therefore done in one pass of compiled code (`native` on a CPU, `triton_synthesis` on a GPU),
or without a compiler by torch in blocks that stay in cache, and written straight in the type that the convolution
wants (bf16 under autocast).
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from softshare.sharing import native, triton_synthesis
from softshare.sharing.capturing import has_memory
from softshare.sharing.snapshot import Snapshot

# Columns of a block: at L = k = 6 the two blocks take 3 MB. Of 2^14 to 2^18 the fastest on an EPYC with 32 MB of L3.
BLOCK = 1 << 16


def synthesise(coefficients: Tensor, templates: Tensor, dtype: torch.dtype) -> Tensor:
    """Weights of all layers, without a gradient.

    Args:
        coefficients: [L, k].
        templates: [k, N].
        dtype: Type of the result; the sum itself is done in the templates' type.

    Returns:
        Weights [L, N].
    """
    if native.serves(coefficients, templates, dtype):
        return native.weights(coefficients, templates, dtype)
    if triton_synthesis.serves(coefficients, templates, dtype):
        return triton_synthesis.weights(coefficients, templates, dtype)
    layers, size = coefficients.shape[0], templates.shape[1]
    if templates.device.type != "cpu" or size <= 2 * BLOCK:
        return torch.mm(coefficients, templates).to(dtype)
    weights = templates.new_empty(layers, size, dtype=dtype)
    staged = dtype != templates.dtype
    buffer = templates.new_empty(layers, BLOCK) if staged else None
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        target = weights[:, start:stop]
        if buffer is None:
            torch.mm(coefficients, templates[:, start:stop], out=target)
        else:
            product = buffer[:, : stop - start]
            torch.mm(coefficients, templates[:, start:stop], out=product)
            target.copy_(product)
    return weights


def synthesis_gradients(
    coefficients: Tensor, templates: Tensor, gradients: Sequence[Tensor | None]
) -> tuple[Tensor, Tensor]:
    """Gradients of the loss for coefficients and templates from those for the layers' weights.

    Args:
        coefficients: [L, k].
        templates: [k, N].
        gradients: L tensors [N], or None where a layer took no part.

    Returns:
        Gradients for coefficients [L, k] and templates [k, N], in the templates' type.
    """
    used = [layer for layer, gradient in enumerate(gradients) if gradient is not None]
    rows = [gradient for gradient in gradients if gradient is not None]
    for_coefficients = torch.zeros_like(coefficients)
    if not used:
        return for_coefficients, torch.zeros_like(templates)
    if not all(has_memory(row, templates) for row in rows):  # into which nothing can be written
        none = templates.new_zeros(templates.shape[1])
        stacked = torch.stack([none if each is None else each.to(templates.dtype) for each in gradients])  # [L, N]
        return torch.mm(stacked, templates.t()), torch.mm(coefficients.t(), stacked)
    if len(used) < len(gradients):
        for_coefficients[used], for_templates = synthesis_gradients(coefficients[used], templates, rows)
        return for_coefficients, for_templates
    if len({row.dtype for row in rows}) == 1:
        if native.serves(coefficients, templates, rows[0].dtype):
            return native.gradients(coefficients, templates, rows)
        if triton_synthesis.serves(coefficients, templates, rows[0].dtype):
            return triton_synthesis.gradients(coefficients, templates, rows)
    mixing = coefficients.t().contiguous()  # [k, L]
    size = templates.shape[1]
    if templates.device.type != "cpu" or size <= 2 * BLOCK:
        stacked = torch.stack(rows).to(templates.dtype)  # [L, N]
        return torch.mm(stacked, templates.t()), torch.mm(mixing, stacked)
    for_templates = torch.empty_like(templates)
    buffer = templates.new_empty(len(rows), BLOCK)
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        block = buffer[:, : stop - start]
        for target, row in zip(block, rows, strict=True):
            target.copy_(row[start:stop])
        torch.mm(mixing, block, out=for_templates[:, start:stop])
        for_coefficients.addmm_(block, templates[:, start:stop].t())
    return for_coefficients, for_templates


def in_memory_order(stack: Tensor, rows: int) -> Tensor:
    """Views stacked weights [rows * out, in, *kernel] as [rows, N], in the order in which they lie in memory.

    A stack in channels_last keeps each weight in one piece as (out, kh, kw, in); a linear combination does not
    care about the order, so weights come out in channels_last without a copy.
    """
    return (stack.movedim(1, -1) if is_channels_last(stack) else stack).reshape(rows, -1)


def as_weights(rows: Tensor, like: Tensor, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """The inverse of `in_memory_order`: [L, N] as L weights of `shape`, laid out like the stack `like`."""
    if is_channels_last(like):
        out, into, *kernel = shape
        return rows.view(-1, out, *kernel, into).movedim(-1, 2).unbind(0)
    return rows.view(-1, *shape).unbind(0)


def is_channels_last(stack: Tensor) -> bool:
    """Whether a stack of weights lies with its channels innermost; one that lies in both orders at once does not."""
    return stack.dim() == 4 and not stack.is_contiguous() and stack.is_contiguous(memory_format=torch.channels_last)


def full_precision(device_type: str) -> contextlib.AbstractContextManager:
    """Turns autocast off: a sum would be taken over factors rounded to bf16, where only the sum may be rounded.

    Where it is off nothing is done: a region in a captured graph hinders its saving (`torch.export.save`).
    """
    known = torch.amp.is_autocast_available(device_type)  # the meta device knows none
    if known and torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return contextlib.nullcontext()


@dataclass
class Synthesis:
    """All weights of a bank as computed once. Spent, and their memory free, once a backward has gone through them.

    Attributes:
        made_from: What they were computed from; None when spent.
        values: [L, N]; None when spent.
        weights: The L weights as part of the graph, where it was recorded.
        constants: The L weights without a graph, where it was not.
    """

    made_from: Snapshot | None
    values: Tensor | None
    weights: tuple[Tensor, ...] | None = None
    constants: tuple[Tensor, ...] | None = None

    def __post_init__(self) -> None:
        # Weights made in inference mode have no version: writing to those goes unseen.
        versioned = self.values is not None and not self.values.is_inference()
        self._version = self.values._version if self.values is not None and versioned else None

    @property
    def is_written_to(self) -> bool:
        """Whether one of the weights was changed in place, so that they are no longer what they were mixed to be."""
        return self.values is not None and self._version is not None and self.values._version != self._version

    def spend(self) -> None:
        """Gives the weights' memory back; layers that still need them hold them by themselves."""
        self.made_from = self.values = self.weights = self.constants = None


class AttachSynthesis(torch.autograd.Function):
    """Gives synthesised weights their place in the graph.

    The tensors that its backward needs are parameters, alive anyway: they hang on `ctx` instead of being saved,
    so that one synthesis serves several forwards with a backward each, and activation checkpointing counts the
    same saved tensors in the forward and its repetition.
    """

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any, coefficients: Tensor, stack: Tensor, synthesis: Synthesis, shape: tuple[int, ...]
    ) -> tuple[Tensor, ...]:
        ctx.coefficients, ctx.stack = coefficients, stack
        ctx.synthesis = weakref.ref(synthesis)  # which holds the outputs: no cycle through the graph
        ctx.versions = (coefficients._version, stack._version)
        ctx.set_materialize_grads(False)
        assert synthesis.values is not None
        return as_weights(synthesis.values.detach(), stack, shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: D102
        coefficients, stack = ctx.coefficients, ctx.stack
        if ctx.versions != (coefficients._version, stack._version):
            raise RuntimeError(
                "templates or coefficients were modified in place between a forward and its backward; "
                "call backward() before the optimiser's step"
            )
        synthesis = ctx.synthesis()
        if synthesis is not None:
            synthesis.spend()  # before the gradients take as much again
        with full_precision(stack.device.type):
            for_coefficients, for_rows = AttachSynthesis._gradients(coefficients, stack, gradients)
        return for_coefficients, _as_stack(for_rows, stack), None, None

    @staticmethod
    def _gradients(coefficients: Tensor, stack: Tensor, gradients: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
        rows = in_memory_order(stack, coefficients.shape[1])
        if torch.is_grad_enabled():  # a second derivative is wanted: operations that have one
            zero = rows.new_zeros(rows.shape[1])
            stacked = torch.stack([zero if g is None else _flat(g, stack).to(rows.dtype) for g in gradients])
            return stacked @ rows.t(), coefficients.t() @ stacked
        flat = [None if g is None else _flat(g, stack) for g in gradients]
        return synthesis_gradients(coefficients, rows, flat)


def _as_stack(rows: Tensor, like: Tensor) -> Tensor:
    if is_channels_last(like):
        out, into, *kernel = like.shape
        return rows.view(out, *kernel, into).movedim(-1, 1)
    return rows.view(like.shape)


def _flat(gradient: Tensor, stack: Tensor) -> Tensor:
    return (gradient.movedim(1, -1) if is_channels_last(stack) else gradient).reshape(-1)
