"""A shared layer: what it was before, but for its weight, which it reads from a bank."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from softshare.sharing.bank import TemplateBank
from softshare.sharing.candidates import is_shared
from softshare.sharing.tied_bank import TiedBank

Bank = TemplateBank | TiedBank

# Operations that autocast runs in lower precision: their weight may be synthesised in it.
_AUTOCAST_FORWARDS = {nn.Conv1d.forward, nn.Conv2d.forward, nn.Conv3d.forward, nn.Linear.forward}


@dataclass(frozen=True)
class Source:
    """Where the weight of a shared layer comes from, and where among the layer's parameters it stood."""

    bank: Bank
    layer: int
    autocasts: bool
    place: int = 0


def attach(layer: nn.Module, bank: Bank, index: int) -> None:
    """Lets a layer take its weight from a bank, in place; the weight that it had is given up."""
    autocasts = type(layer).forward in _AUTOCAST_FORWARDS
    place = list(layer._parameters).index("weight")
    del layer._parameters["weight"]
    layer.__class__ = _shared_type(type(layer))
    layer._weight_source = Source(bank, index, autocasts, place)  # type: ignore[assignment]


def detach(layer: nn.Module, weight: nn.Parameter | None) -> None:
    """Gives a layer the type that it had and a weight of its own, in place, where it stood among the parameters."""
    source: Source = layer.__dict__["_weight_source"]
    layer.__class__ = plain_type(type(layer))
    del layer._weight_source
    parameters = list(layer._parameters.items())
    parameters.insert(source.place, ("weight", weight))
    layer._parameters.clear()
    layer._parameters.update(parameters)


def banks_outside(model: nn.Module) -> str:
    """Names, in words, the shared layers of a model whose bank is not in it; empty where there are none.

    A bank is registered on the first layer of its group and goes where that goes.
    """
    inside = {id(module) for module in model.modules() if isinstance(module, Bank)}
    lost = {
        name: module.__dict__["_weight_source"].bank
        for name, module in model.named_modules()
        if is_shared(module) and id(module.__dict__["_weight_source"].bank) not in inside
    }
    if not lost:
        return ""
    name, bank = next(iter(lost.items()))
    return (
        f"{len(lost)} shared layers of {type(model).__name__}, {name!r} the first, take their weight from a bank that "
        f"is not in the model: it is registered on {bank.layers[0]!r}, which was cut off or replaced. An optimiser, "
        "a state dict and .to() would miss it. Register it on a layer that stays (`layer.template_bank = "
        "removed_layer.template_bank`), or share after the model has its final structure"
    )


def plain_type(kind: type[nn.Module]) -> type[nn.Module]:
    """The type that a shared layer had before it was shared."""
    return kind.__bases__[0] if kind in _shared_types.values() else kind


_shared_types: dict[type[nn.Module], type[nn.Module]] = {}


def _shared_type(kind: type[nn.Module]) -> type[nn.Module]:
    """A subclass of a layer's type, of the same name, whose weight is read from a bank.

    The way of `torch.nn.utils.parametrize`. A property serves every reader of `layer.weight`, also those that
    never call the layer (`F.linear(x, layer.weight)`). It cannot be assigned: templates and coefficients can.
    """
    if kind in _shared_types:
        return _shared_types[kind]

    def weight(self: nn.Module) -> Tensor:
        source: Source = self.__dict__["_weight_source"]
        if "_is_replica" in self.__dict__:
            raise RuntimeError(
                "nn.DataParallel copies layers to other GPUs without the bank that shared ones read; "
                "use torch.nn.parallel.DistributedDataParallel, one process a GPU"
            )
        return source.bank.weight(source.layer, autocasts=source.autocasts)

    def refuse(self: nn.Module, value: object) -> None:
        raise AttributeError(
            "the weight of a shared layer is mixed from its bank; change the bank's parameters instead, or give the "
            "layer its weight before `share(model, init='svd')`, or after `unshare(model)`"
        )

    def register(self: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if name == "weight":  # `layer.weight = nn.Parameter(...)` comes here and asks no property
            refuse(self, parameter)
        kind.register_parameter(self, name, parameter)

    def reduce(self: nn.Module, protocol: int) -> tuple[Any, ...]:
        # A layer's own __getstate__ may leave out what it does not know.
        return _rebuild, (kind, self.__dict__["_weight_source"]), self.__getstate__()

    body = {
        "weight": property(weight, refuse),
        "register_parameter": register,
        "__reduce_ex__": reduce,
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
    }
    if hasattr(kind, "reset_parameters"):
        body["reset_parameters"] = _reset_all_but_the_weight
    _shared_types[kind] = type(kind.__name__, (kind,), body)
    return _shared_types[kind]


def _reset_all_but_the_weight(self: nn.Module) -> None:
    """Resets what is the layer's own, its bias; the bank, which other layers share, is a module and resets itself."""
    warnings.warn(
        "the weight of a shared layer is its bank's, so reset_parameters() resets the rest of the layer; "
        "the bank has a reset_parameters() of its own",
        UserWarning,
        stacklevel=2,
    )
    weight: Tensor = self.weight  # type: ignore[assignment]
    shared = type(self)
    try:
        self.__class__ = plain_type(shared)
        self._parameters["weight"] = nn.Parameter(torch.empty_like(weight))
        self.reset_parameters()  # type: ignore[operator]
    finally:
        del self._parameters["weight"]
        self.__class__ = shared


def _rebuild(kind: type[nn.Module], source: Source | None = None) -> nn.Module:
    shared = _shared_type(kind)
    layer = shared.__new__(shared)
    if source is not None:  # else it comes with the layer's state
        layer.__dict__["_weight_source"] = source
    return layer
