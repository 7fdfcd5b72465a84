"""Why blocks that share a weight run in no loop, in words."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from torch import nn

from softshare.sharing.looped_blocks import Owners, shared_layers, structure_of

_SHOWN = (bool, int, float, str, type(None))


def why_no_loop(
    sequences: Iterable[tuple[str, nn.Sequential]], owners: Owners, stage_of: Mapping[int, str], stages: Collection[str]
) -> dict[str, str]:
    """Tells for stages in which layers are tied and no loop was made what stood in the way.

    Args:
        sequences: The `nn.Sequential` of the tied model by name, with the blocks that were left out of loops.
        owners: Who has what in the model.
        stage_of: The stage of each shared layer, by its id.
        stages: The stages that are asked about.

    Returns:
        A reason a stage: of all its blocks that share a weight, the two that differ least.
    """
    nowhere = "no two blocks that share a weight stand in one nn.Sequential that is called as a whole"
    found: dict[str, list[tuple[int, str]]] = {stage: [] for stage in stages}
    for path, parent in sequences if stages else ():
        for (one, first), (other, second) in itertools.combinations(parent._modules.items(), 2):
            common = {stage_of[id(layer)] for layer in _common_layers(first, second)} & found.keys()
            if common:
                assert first is not None and second is not None
                names = [f"{path}.{name}" if path else name for name in (one, other)]
                reason = _reason(names, first, second, owners)
                for stage in common:
                    found[stage].append(reason)
    return {
        stage: min(reasons, key=lambda each: each[0])[1] if reasons else nowhere for stage, reasons in found.items()
    }


def _common_layers(first: nn.Module | None, second: nn.Module | None) -> list[nn.Module]:
    """Layers of one block whose weight another block uses as well."""
    if first is None or second is None:
        return []
    used = {_weight_of(layer) for layer in shared_layers(second).values()}
    return [layer for layer in shared_layers(first).values() if _weight_of(layer) in used]


def _weight_of(layer: nn.Module) -> tuple[int, int]:
    source = layer.__dict__["_weight_source"]
    return id(source.bank), source.bank.clusters[source.layer]


def _reason(names: list[str], first: nn.Module, second: nn.Module, owners: Owners) -> tuple[int, str]:
    """In how much two blocks differ, and what keeps them out of one loop."""
    if not (owners.alone(first) and owners.alone(second)):
        return 0, f"{' or '.join(names)}, or something in them, stands elsewhere in the model too"
    differences = list(_differences(structure_of(first), structure_of(second)))
    if not differences:
        return 0, f"between {' and '.join(names)} lies a block of another structure"
    more = f", and {len(differences) - 1} more" if len(differences) > 1 else ""
    return len(differences), f"{' and '.join(names)} differ in {differences[0]}{more}"


def _differences(one: list[Any], other: list[Any]) -> Iterator[str]:
    """All in which two structures differ, such as `drop_path.drop_prob (0.1 and 0.2)`."""
    ours, theirs = ({name: rest for name, *rest in each} for each in (one, other))
    for name in {**ours, **theirs}:
        if name not in ours or name not in theirs:
            yield f"{name}, which one of them lacks"
            continue
        (kind, attributes, tensors, *rest), (their_kind, their_attributes, their_tensors, *their_rest) = (
            ours[name],
            theirs[name],
        )
        if kind is not their_kind:
            yield f"{name or 'their type'} ({kind.__name__} and {their_kind.__name__})"
            continue
        mine, yours = {**attributes, **tensors}, {**their_attributes, **their_tensors}
        for key in {**mine, **yours}:
            if key not in mine or key not in yours or mine[key] != yours[key]:
                yield f"{name}.{key}".lstrip(".") + _values(mine.get(key), yours.get(key))
        if rest != their_rest:
            yield f"the hooks or the group of {name or 'the blocks themselves'}"


def _values(one: Any, other: Any) -> str:
    shown = [_shown(each[1]) for each in (one, other) if isinstance(each, tuple) and isinstance(each[-1], _SHOWN)]
    return f" ({' and '.join(shown)})" if len(shown) == 2 and shown[0] != shown[1] else ""


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
