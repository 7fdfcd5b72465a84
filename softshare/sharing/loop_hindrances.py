"""Why blocks that share a weight run in no loop, in words."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import torch
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
    structures: dict[int, list[Any]] = {}  # of each block once: it is compared with all others
    for path, parent in sequences if stages else ():
        for (one, first), (other, second) in itertools.combinations(parent._modules.items(), 2):
            common = {stage_of[id(layer)] for layer in _common_layers(first, second)} & found.keys()
            if common:
                assert first is not None and second is not None
                names = [f"{path}.{name}" if path else name for name in (one, other)]
                for each in (first, second):
                    if id(each) not in structures:
                        structures[id(each)] = structure_of(each)
                pair = [structures[id(each)] for each in (first, second)]
                alone = owners.alone(first) and owners.alone(second)
                reason = _reason(names, pair, alone)
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


def _reason(names: list[str], structures: list[list[Any]], alone: bool) -> tuple[int, str]:
    """In how much two blocks differ, and what keeps them out of one loop."""
    if not alone:
        return 0, f"{' or '.join(names)}, or something in them, stands elsewhere in the model too"
    differences = list(_differences(*structures))
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
        differing = [key for key in {**mine, **yours} if mine.get(key) != yours.get(key)]
        # What begins with a line torch derives from the rest, such as a convolution's padding in reverse.
        for key in [key for key in differing if not key.startswith("_")] or differing:
            yield f"{name}.{key}".lstrip(".") + _values(mine.get(key), yours.get(key))
        if rest != their_rest:
            yield f"the hooks or the group of {name or 'the blocks themselves'}"


def _values(one: Any, other: Any) -> str:
    if all(isinstance(each, tuple) and isinstance(each[0], torch.Size) for each in (one, other)):
        pairs = [_tensors_in_words(*each) for each in zip(one, other, strict=True) if each[0] != each[1]]
        return f" ({' and '.join(', '.join(words) for words in zip(*pairs, strict=True))})"
    shown = [_shown(each) for each in (one, other)]
    return f" ({' and '.join(shown)})" if all(shown) and shown[0] != shown[1] else ""


def _shown(described: Any) -> str:
    """A plain attribute; empty of what is known by itself alone, and of a tensor that only one has."""
    if not isinstance(described, tuple) or isinstance(described[0], torch.Size):
        return ""
    kind, value = described
    if issubclass(kind, tuple | list):
        parts = [_shown(each) for each in value]
        return f"[{', '.join(parts)}]" if all(parts) else ""
    if not issubclass(kind, _SHOWN):
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _tensors_in_words(one: Any, other: Any) -> tuple[str, str]:
    """One thing in which two tensors differ: shape, type, device, or whether they learn."""
    if isinstance(one, bool):
        return ("learning", "frozen") if one else ("frozen", "learning")
    if isinstance(one, torch.Size):
        return str(list(one)), str(list(other))
    return str(one), str(other)
