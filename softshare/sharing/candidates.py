"""Which layers of a model can share at all, and of the others what stands in the way."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

# Layers of one kind of hindrance that an error names; the rest are counted.
_NAMED = 8


def is_shared(module: nn.Module) -> bool:
    """Whether a layer takes its weight from a bank."""
    return "_weight_source" in module.__dict__


def weight_shape(module: nn.Module) -> tuple[int, ...] | None:
    """Shape of a layer's weight, own or shared; None where the module has none, or one that something else computes."""
    if is_shared(module):
        return module.__dict__["_weight_source"].bank.weight_shape
    weight = module._parameters.get("weight")
    return tuple(weight.shape) if isinstance(weight, Tensor) and not is_lazy(weight) else None


def candidates(model: nn.Module, types: tuple[type[nn.Module], ...]) -> Iterator[tuple[str, nn.Module]]:
    """The layers of some types that can share, or share already, by name."""
    owners = _owners(model)
    for name, module in model.named_modules():
        if isinstance(module, types) and _hindrance(module, owners) is None:
            yield name, module


def why_none_share(model: nn.Module, types: tuple[type[nn.Module], ...], stage_of: Callable[[str], str] | None) -> str:
    """Tells of each layer of a model why it shares with no other, in one line.

    Args:
        model: A model in which nothing can be shared.
        types: Kinds of layers that were considered.
        stage_of: Gives a layer's stage by its name; None where groups were chosen otherwise, and all layers left out.
    """
    owners = _owners(model)
    left_out: dict[str, list[str]] = defaultdict(list)
    reason = "alone in its group (stage, kind and shape)" if stage_of else "left out by `groups`"
    for name, module in model.named_modules():
        shape = weight_shape(module)
        shown = f"{name} {shape or type(module).__name__}".strip()
        if isinstance(module, types) and (hindrance := _hindrance(module, owners)):
            left_out[hindrance].append(shown)
        elif isinstance(module, types):
            stage = stage_of(name) if stage_of else ""
            left_out[reason].append(f"{shown} in {stage}" if stage else shown)
        elif shape is not None and len(shape) > 1:
            left_out[f"not asked for by `types`, {type(module).__name__}"].append(shown)
    wanted = " or ".join(kind.__name__ for kind in types)
    reasons = [f"{reason}: {_listed(layers)}" for reason, layers in left_out.items()]
    if not any(isinstance(module, types) for module in model.modules()):
        reasons.insert(0, f"it has no {wanted}")
    return "; ".join(reasons)


def _hindrance(module: nn.Module, owners: Counter[int]) -> str | None:
    """Why a layer cannot share whatever its group; None where it can."""
    if is_shared(module):
        return None
    weight = module._parameters.get("weight")
    if not isinstance(weight, Tensor):
        return "without a weight of its own (it has none, or a parametrisation computes it)"
    if is_lazy(weight):
        return "not initialised yet (call the model once)"
    if not weight.is_floating_point():
        return "of complex or whole numbers (a bank mixes real ones)"
    return "tied to another module's weight" if owners[id(weight)] > 1 else None


def _owners(model: nn.Module) -> Counter[int]:
    """In how many places each parameter stands."""
    return Counter(id(parameter) for module in model.modules() for parameter in module._parameters.values())


def _listed(layers: list[str]) -> str:
    more = len(layers) - _NAMED
    return ", ".join(layers[:_NAMED]) + (f" and {more} more" if more > 0 else "")
