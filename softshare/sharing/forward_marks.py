"""What a shared model does as its forward begins and ends: the part that a bank cannot know by itself."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from softshare.sharing.bank import TemplateBank
from softshare.sharing.capturing import is_captured
from softshare.sharing.shared_layer import Bank, banks_outside

# A step on the way from a model to a bank: the dict of a module's children, a name in it, and the child.
_Step = tuple[dict[str, nn.Module | None], str, nn.Module]


def mark_forward(model: nn.Module) -> None:
    """Has a model tell its banks of each forward."""
    # A captured graph cannot ask for versions; it is told where a forward begins and ends instead.
    mark_banks(model)
    if _begin_forward in model._forward_pre_hooks.values():  # it was shared before, with other groups
        return
    model.register_forward_pre_hook(_begin_forward, prepend=True)
    model.register_forward_hook(_end_forward, always_call=True)


def unmark_forward(model: nn.Module) -> None:
    """Takes back what `mark_forward` did to a model."""
    for hooks, ours in ((model._forward_pre_hooks, _begin_forward), (model._forward_hooks, _end_forward)):
        for key in [key for key, hook in hooks.items() if hook is ours]:
            del hooks[key]
            model._forward_hooks_always_called.pop(key, None)
    for name in ("_template_banks", "_way_to_banks"):
        model.__dict__.pop(name, None)


def mark_banks(model: nn.Module) -> None:
    """Tells a model which banks it has now."""
    model._template_banks = _template_banks_in(model)  # type: ignore[assignment]


def _begin_forward(model: nn.Module, _: Any) -> None:
    if is_captured():
        # Those alone that are still in it: what no layer uses would stay in the graph.
        for bank in _template_banks_in(model):
            bank.open_trace()
        return
    # After a `torch.cond` dynamo drops what a frame does to objects, the end of a traced forward too.
    for bank in model._template_banks:  # type: ignore[union-attr]
        bank.close_trace()
    _look_for_banks(model)
    # Weights left by a forward without gradients may be older than a change through `.data`. Within a backward the
    # forward is a checkpoint's, run again on the weights that it had.
    if model.training and torch.is_grad_enabled() and torch._C._current_graph_task_id() == -1:
        for bank in model._template_banks:  # type: ignore[union-attr]
            bank.forget_constants()


def _end_forward(model: nn.Module, _: Any, __: Any) -> None:
    if is_captured():
        for bank in model._template_banks:  # type: ignore[union-attr]
            bank.close_trace()


def _template_banks_in(model: nn.Module) -> tuple[TemplateBank, ...]:
    return tuple(module for module in model.modules() if isinstance(module, TemplateBank))


def _look_for_banks(model: nn.Module) -> None:
    """Warns, once after each change of the model's structure, of banks that are no longer in it."""
    way: list[_Step] | None = model.__dict__.get("_way_to_banks")
    # A few look-ups a bank; to walk through all modules at each forward would take a small model's time.
    if way is not None and all(children.get(key) is child for children, key, child in way):
        return
    model._way_to_banks = list(_way_to_banks(model))  # type: ignore[assignment]
    if lost := banks_outside(model):
        warnings.warn(lost, UserWarning, stacklevel=2)


def _way_to_banks(model: nn.Module) -> Iterator[_Step]:
    for name, bank in model.named_modules():
        if name and isinstance(bank, Bank):
            parent = model
            for key in name.split("."):
                child = parent._modules[key]
                assert child is not None
                yield parent._modules, key, child
                parent = child
