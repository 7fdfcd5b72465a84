"""`share`: puts the layers of any model on template banks, in place."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import replace
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from softshare.sharing.bank import TemplateBank
from softshare.sharing.candidates import candidates, is_shared, why_none_share
from softshare.sharing.forward_marks import mark_banks, mark_forward
from softshare.sharing.from_weights import start_from_weights
from softshare.sharing.grouping import GroupOf, SameStageSameShape
from softshare.sharing.shared_layer import Bank, attach, banks_outside
from softshare.sharing.synthesis import is_channels_last
from softshare.sharing.tied_bank import TiedBank
from softshare.sharing.wrapped import require_no_reducer


def share(
    model: nn.Module,
    templates: int | None = None,
    groups: GroupOf | None = None,
    *,
    init: str = "orthogonal",
    types: type[nn.Module] | Iterable[type[nn.Module]] = (nn.Conv2d,),
) -> nn.Module:
    """Puts the convolutions of a model on template banks, in place (section 3 of the paper).

    The modules stay where they are and remain what they are (`isinstance` holds, nothing is wrapped); only where
    their `weight` comes from changes: it is mixed from the bank of the layer's group whenever it is read (that of a
    convolution or linear layer, under autocast, in the type of autocast). A bank is registered once, on the first
    layer of its group, so a state dict holds each parameter once. Templates start afresh and weights that the
    layers had are given up, unless `init` is `svd`. Make an optimiser, and DDP, afterwards: made before, they hold
    the parameters that are given up.

    Templates are drawn with fan-in He, as for a convolution before a ReLU, whatever the layer. A transformer's linear
    layers are commonly drawn smaller, and some networks set the last layer of each branch to zero, so that a block
    starts as the identity: such a start is lost. `init="svd"` keeps it, for it begins with the weights that are there.

    With fewer templates than layers weights start smaller, by sqrt(k / L) in the root mean square, each layer's by a
    factor of its own: such is the paper's start. Behind norms that matters little; a deep model without them had
    better take `init="svd"`.

    For a k of each stage's own share the stages one by one: `share(model.layer3, 4)`, then `share(model.layer4, 2)`. Or
    call `share(model, k, groups)` once for each k, with a function that returns None for all layers that get another.

    A layer whose weight is no parameter of its own (tied to another's, computed by a parametrisation, not yet
    initialised), or not of real numbers, stays as it is.

    Args:
        model: Any model.
        templates: k, templates a group; None = one per layer.
        groups: Function of (name, module) that gives a layer's group, or None to leave it alone. By default
            layers of the same stage, kind and weight shape share; a layer that is alone in that stays as it is, and
            a group of fewer than k layers gets a template per layer.
        init: How coefficients start: orthogonal, identity, sparse, normal or uniform (appendix B); or `svd`:
            coefficients and templates start from the weights that the layers have, as near to them as k templates
            allow. With a template per layer the model computes what it did before, but for rounding.
        types: Kinds of layers considered, one or several.

    Returns:
        The model itself.

    Raises:
        ValueError: k < 1 or k > L; `types` that are no kinds of modules; a group of one layer, or whose weights differ
            in shape, type, device or requires_grad, have fewer than two dimensions (those of norms), or (`svd`) are not
            finite; a layer that is shared already; a model in DDP; nothing to share, with the reason for each layer.
            The model is then unchanged.
    """
    if templates is not None and (not isinstance(templates, Integral) or isinstance(templates, bool) or templates < 1):
        raise ValueError(f"templates must be a whole number of at least 1, not {templates!r}")
    if groups is not None and not callable(groups):
        raise ValueError(f"groups must be a function of (name, module), not {groups!r}")
    kinds = _kinds(types)
    require_no_reducer(model)
    members = _members(model, groups or SameStageSameShape(model), kinds)
    if groups is None:
        singles = {key for key, layers in members.items() if len(layers) < 2}
        members = {key: layers for key, layers in members.items() if key not in singles}
    if not members:
        why = why_none_share(model, kinds, SameStageSameShape(model).stage if groups is None else None)
        raise ValueError(f"{type(model).__name__} has no two layers to share: {why}")
    made = []
    for key, layers in members.items():
        # Stages differ in length; where they were not chosen, one k must do for all.
        count = templates if groups is not None or templates is None else min(templates, len(layers))
        made.append((key, layers, _bank_for(key, layers, count, init)))
    for key, layers, bank in made:
        bank.group, bank.layers = str(key), tuple(name for name, _ in layers)
        for index, (_, layer) in enumerate(layers):
            attach(layer, bank, index)
        layers[0][1].template_bank = bank
    mark_forward(model)
    return model


def banks(model: nn.Module) -> dict[str, Bank]:
    """The template banks of a model by group, in the order of its layers; tied ones where layers were tied.

    Where parts of a model were shared one by one, groups may be of one name: the layer that holds the bank is then
    added to it.

    Raises:
        ValueError: The bank of a shared layer lies outside the model, for it went with the layer that held it.
    """
    _require_banks(model)
    found: list[tuple[str, Bank]] = []
    for name, module in model.named_modules():
        inside = bool(found) and name.startswith(f"{found[-1][0]}.")  # what a tied bank mixes its weights from
        if isinstance(module, TemplateBank | TiedBank) and not inside:
            found.append((name, module))
    names = Counter(bank.group for _, bank in found)
    return {bank.group if names[bank.group] == 1 else f"{bank.group} at {name}": bank for name, bank in found}


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser: the coefficients alone are free of weight decay (section 4.1).

    The scales of tied layers are what their coefficients have become, and as free. Where more is to be free, such as
    biases and norms, make the groups otherwise, and leave out what `undecayed` names.

    Args:
        model: A model, shared or not.
        weight_decay: Decay of all other trained parameters, batch norm's included; frozen ones are in no group.

    Returns:
        One group, or two where the model has coefficients.

    Raises:
        ValueError: As `banks`.
    """
    free = undecayed(model)
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [parameter for name, parameter in trained if name not in free], "weight_decay": weight_decay},
        {"params": [parameter for name, parameter in trained if name in free], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def undecayed(model: nn.Module) -> set[str]:
    """Names of the parameters that get no weight decay (section 4.1): coefficients, and scales of tied layers.

    To be joined with what else gets none, for instance in timm's groups, where biases and norms are free as well:
    `param_groups_weight_decay(model, 0.05, no_weight_decay_list=model.no_weight_decay() | undecayed(model))`.

    Args:
        model: A model, shared or not.

    Returns:
        Names as in `model.named_parameters()`, of frozen parameters too; none where nothing is shared.

    Raises:
        ValueError: As `banks`.
    """
    _require_banks(model)
    free = {id(bank.coefficients) for bank in model.modules() if isinstance(bank, TemplateBank)}
    free |= {id(bank.scales) for bank in model.modules() if isinstance(bank, TiedBank)}
    return {name for name, parameter in model.named_parameters() if id(parameter) in free}


def forget(model: nn.Module) -> None:
    """Has all banks of a model compute their weights anew when next asked.

    Needed after parameters were changed in a way that PyTorch does not count, while the model stayed in eval mode or
    no backward followed: through `.data`, a NumPy array on the same memory, or code of one's own.

    Args:
        model: A model, shared or not.
    """
    for module in model.modules():
        source = module.__dict__.get("_weight_source")
        for part in (module, *(source.bank.modules() if source else ())):
            if isinstance(part, TemplateBank):
                part.forget()


def move_layers(model: nn.Module, old: Bank, new: Bank) -> None:
    """Lets all layers of a model that take their weight from one bank take it from another, in place."""
    for module in list(model.modules()):
        source = module.__dict__.get("_weight_source")
        if source is not None and source.bank is old:
            module._weight_source = replace(source, bank=new)
        for name, child in list(module.named_children()):
            if child is old:
                setattr(module, name, new)
    for module in model.modules():
        if "_template_banks" in module.__dict__:
            mark_banks(module)


def _require_banks(model: nn.Module) -> None:
    if lost := banks_outside(model):
        raise ValueError(lost)


def _kinds(types: object) -> tuple[type[nn.Module], ...]:
    kinds = tuple(types) if isinstance(types, Iterable) else (types,)
    if not kinds or not all(isinstance(kind, type) and issubclass(kind, nn.Module) for kind in kinds):
        raise ValueError(f"types must be kinds of modules, such as (nn.Conv2d, nn.Linear), not {types!r}")
    return kinds


def _members(
    model: nn.Module, group_of: GroupOf, types: tuple[type[nn.Module], ...]
) -> dict[Hashable, list[tuple[str, nn.Module]]]:
    members: dict[Hashable, list[tuple[str, nn.Module]]] = defaultdict(list)
    for name, module in candidates(model, types):
        key = group_of(name, module)
        if key is None:
            continue
        if isinstance(key, bool) or not _is_hashable(key):
            remedy = "give the name of its group, or None to leave it alone"
            raise ValueError(f"groups gave {key!r} for layer {name!r}; {remedy}")
        if is_shared(module):
            raise ValueError(
                f"layer {name!r} is shared already: let `groups` return None for it, or unshare(model) first"
            )
        members[key].append((name, module))
    return members


def _is_hashable(key: object) -> bool:
    try:
        hash(key)
    except TypeError:  # also of a tuple that holds a list
        return False
    return True


def _bank_for(key: Hashable, layers: list[tuple[str, nn.Module]], templates: int | None, init: str) -> TemplateBank:
    names = [name for name, _ in layers]
    if len(layers) < 2:
        raise ValueError(f"group {key!r} has one layer only, {names[0]!r}: let `groups` return None for it")
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
    if first.dim() < 2:
        raise ValueError(
            f"group {key!r} has weights of fewer than two dimensions, {names[0]!r} {tuple(first.shape)}: "
            f"leave {type(layers[0][1]).__name__} out of `types`, or let `groups` return None for it"
        )
    if templates is not None and templates > len(layers):
        raise ValueError(f"group {key!r} has {len(layers)} layers, fewer than {templates} templates")
    drawn = "orthogonal" if init == "svd" else init
    bank = TemplateBank(len(layers), templates, first.shape, drawn, device=first.device, dtype=first.dtype)
    bank.init = init
    if is_channels_last(first):
        bank.to(memory_format=torch.channels_last)
    if init == "svd":
        try:
            start_from_weights(bank, weights)
        except ValueError as error:
            raise ValueError(f"group {key!r} {error}") from error
    bank.requires_grad_(first.requires_grad)
    return bank.train(layers[0][1].training)
