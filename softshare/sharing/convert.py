"""`share`: puts the layers of any model on template banks, in place."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from softshare.sharing.bank import TemplateBank
from softshare.sharing.grouping import GroupOf, SameStageSameShape

# Operations that autocast runs in lower precision: their weight may be synthesised in it.
_AUTOCAST_FORWARDS = {nn.Conv1d.forward, nn.Conv2d.forward, nn.Conv3d.forward, nn.Linear.forward}


@dataclass(frozen=True)
class _Source:
    """Where the weight of a shared layer comes from."""

    bank: TemplateBank
    layer: int
    autocasts: bool


def share(
    model: nn.Module,
    templates: int | None = None,
    groups: GroupOf | None = None,
    *,
    init: str = "orthogonal",
    types: tuple[type[nn.Module], ...] = (nn.Conv2d,),
) -> nn.Module:
    """Puts the convolutions of a model on template banks, in place (section 3 of the paper).

    The modules stay where they are and remain what they are (`isinstance` holds, nothing is wrapped); only where
    their `weight` comes from changes: it is mixed from the bank of the layer's group whenever it is read. A bank
    is registered once, on the first layer of its group, so a state dict holds each parameter once. Templates start
    afresh; weights that the layers had are given up.

    Args:
        model: Any model.
        templates: k, templates a group; None = one per layer.
        groups: Function of (name, module) that gives a layer's group, or None to leave it alone. By default
            layers of the same stage, kind and weight shape share; a layer that is alone in that stays as it is.
        init: How coefficients start: orthogonal, identity, sparse, normal or uniform (appendix B).
        types: Kinds of layers considered.

    Returns:
        The model itself.

    Raises:
        ValueError: k < 1 or k > L; a group of one layer, or whose weights differ in shape, type, device or
            requires_grad; a layer that is shared already; nothing to share. The model is then unchanged.
    """
    if templates is not None and (not isinstance(templates, int) or isinstance(templates, bool) or templates < 1):
        raise ValueError(f"templates must be a whole number of at least 1, not {templates!r}")
    members = _members(model, groups or SameStageSameShape(model), types)
    if groups is None:
        singles = {key for key, layers in members.items() if len(layers) < 2}
        members = {key: layers for key, layers in members.items() if key not in singles}
    if not members:
        raise ValueError(f"{type(model).__name__} has no two layers to share: {_why_not(model, types)}")
    made = [(key, layers, _bank_for(key, layers, templates, init)) for key, layers in members.items()]
    for key, layers, bank in made:
        bank.group, bank.layers = str(key), tuple(name for name, _ in layers)
        for index, (_, layer) in enumerate(layers):
            _attach(layer, bank, index)
        layers[0][1].template_bank = bank
    _mark_forward(model)
    return model


def banks(model: nn.Module) -> dict[str, TemplateBank]:
    """The template banks of a model by group, in the order of its layers.

    Where parts of a model were shared one by one, groups may be of one name: the layer that holds the bank is then
    added to it.
    """
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, TemplateBank)]
    names = Counter(bank.group for _, bank in found)
    return {bank.group if names[bank.group] == 1 else f"{bank.group} at {name}": bank for name, bank in found}


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser: the coefficients alone are free of weight decay (section 4.1).

    Args:
        model: A model, shared or not.
        weight_decay: Decay of all other parameters, batch norm's included.

    Returns:
        One group, or two where the model has coefficients.
    """
    free = {id(bank.coefficients) for bank in banks(model).values()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if id(p) not in free], "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) in free], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _members(
    model: nn.Module, group_of: GroupOf, types: tuple[type[nn.Module], ...]
) -> dict[Hashable, list[tuple[str, nn.Module]]]:
    members: dict[Hashable, list[tuple[str, nn.Module]]] = defaultdict(list)
    for name, module in _candidates(model, types):
        key = group_of(name, module)
        if key is None:
            continue
        if is_shared(module):
            raise ValueError(f"layer {name!r} is shared already")
        members[key].append((name, module))
    return members


def _candidates(model: nn.Module, types: tuple[type[nn.Module], ...]) -> Iterator[tuple[str, nn.Module]]:
    for name, module in model.named_modules():
        if isinstance(module, types) and (is_shared(module) or isinstance(module._parameters.get("weight"), Tensor)):
            yield name, module


def _bank_for(key: Hashable, layers: list[tuple[str, nn.Module]], templates: int | None, init: str) -> TemplateBank:
    names = [name for name, _ in layers]
    if len(layers) < 2:
        raise ValueError(f"group {key!r} has one layer only, {names[0]!r}: nothing to share")
    weights: list[Tensor] = [module.weight for _, module in layers]  # type: ignore[misc]
    first = weights[0]
    for name, weight in zip(names, weights, strict=True):
        if weight.shape != weights[0].shape:
            raise ValueError(
                f"group {key!r} has weights of different shapes: {names[0]!r} {tuple(weights[0].shape)}, "
                f"{name!r} {tuple(weight.shape)}"
            )
        if (weight.dtype, weight.device, weight.requires_grad) != (first.dtype, first.device, first.requires_grad):
            raise ValueError(
                f"group {key!r} has weights of different type, device or requires_grad: {names[0]!r} and {name!r}"
            )
    if templates is not None and templates > len(layers):
        raise ValueError(f"group {key!r} has {len(layers)} layers, fewer than {templates} templates")
    bank = TemplateBank(len(layers), templates, first.shape, init, device=first.device, dtype=first.dtype)
    if first.dim() == 4 and not first.is_contiguous() and first.is_contiguous(memory_format=torch.channels_last):
        bank.to(memory_format=torch.channels_last)
    bank.requires_grad_(first.requires_grad)
    return bank.train(layers[0][1].training)


def _why_not(model: nn.Module, types: tuple[type[nn.Module], ...]) -> str:
    wanted = " or ".join(kind.__name__ for kind in types)
    shapes = [f"{name} {tuple(layer.weight.shape)}" for name, layer in _candidates(model, types)]  # type: ignore[arg-type]
    if not shapes:
        return f"it has no {wanted}"
    listed = ", ".join(shapes[:8]) + (f" and {len(shapes) - 8} more" if len(shapes) > 8 else "")
    return f"each is alone in its group or left out: {listed}"


def is_shared(module: nn.Module) -> bool:
    """Whether a layer takes its weight from a bank."""
    return "_weight_source" in module.__dict__


def _attach(layer: nn.Module, bank: TemplateBank, index: int) -> None:
    autocasts = type(layer).forward in _AUTOCAST_FORWARDS
    del layer._parameters["weight"]
    layer.__class__ = _shared_type(type(layer))
    layer._weight_source = _Source(bank, index, autocasts)  # type: ignore[assignment]


_shared_types: dict[type[nn.Module], type[nn.Module]] = {}


def _shared_type(kind: type[nn.Module]) -> type[nn.Module]:
    """A subclass of a layer's type, of the same name, whose weight is read from a bank.

    The way of `torch.nn.utils.parametrize`. A property serves every reader of `layer.weight`, also those that
    never call the layer (`F.linear(x, layer.weight)`). It cannot be assigned: templates and coefficients can.
    """
    if kind in _shared_types:
        return _shared_types[kind]

    def weight(self: nn.Module) -> Tensor:
        source: _Source = self.__dict__["_weight_source"]
        return source.bank.weight(source.layer, autocasts=source.autocasts)

    def refuse(self: nn.Module, value: object) -> None:
        raise AttributeError(
            "the weight of a shared layer is mixed from its bank; change the bank's parameters instead"
        )

    def reduce(self: nn.Module, protocol: int) -> tuple[Any, ...]:
        return _rebuild, (kind,), self.__dict__

    body = {
        "weight": property(weight, refuse),
        "__reduce_ex__": reduce,
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
    }
    _shared_types[kind] = type(kind.__name__, (kind,), body)
    return _shared_types[kind]


def _rebuild(kind: type[nn.Module]) -> nn.Module:
    shared = _shared_type(kind)
    return shared.__new__(shared)


def _mark_forward(model: nn.Module) -> None:
    # A captured graph cannot ask for versions; it is told where a forward begins and ends instead.
    model._template_banks = tuple(banks(model).values())  # type: ignore[assignment]
    model.register_forward_pre_hook(_begin_forward, prepend=True)
    model.register_forward_hook(_end_forward, always_call=True)


def _begin_forward(model: nn.Module, _: Any) -> None:
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        for bank in model._template_banks:  # type: ignore[union-attr]
            bank.open_trace()


def _end_forward(model: nn.Module, _: Any, __: Any) -> None:
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        for bank in model._template_banks:  # type: ignore[union-attr]
            bank.close_trace()
