"""`fold`: a network with real loops over the weights that its layers share (section 4.3, appendix A of the paper)."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from softshare.sharing.convert import banks, is_shared
from softshare.sharing.grouping import SameStageSameShape
from softshare.sharing.loop_hindrances import why_no_loop
from softshare.sharing.looped_blocks import LoopedBlocks, Owners, runs_of
from softshare.sharing.loops import Folding, find_loops
from softshare.sharing.similarity import Measure
from softshare.sharing.tying import find_clusters, tie
from softshare.sharing.wrapped import require_no_reducer

_CONVOLUTIONS = (nn.modules.conv._ConvNd,)


def fold(model: nn.Module, threshold: float = 0.8, *, of: Measure = "coefficients", example: Any = None) -> nn.Module:
    """Folds a network: layers that are alike are tied, and blocks run as loops over what is left.

    Neighbouring blocks of one structure in an `nn.Sequential` become `LoopedBlocks`: one body, run once a pass
    with the weights of that pass. All that blocks have besides their shared weights (norms with their statistics,
    biases, scales) is kept, in tables with a row a pass. Where layers are tied that lie in blocks of different
    structure (a stride, a padding, another container), their weight is stored once and no loop is made; nor where
    a block, or anything in it, also stands elsewhere in the model. `folding.unlooped` of the new network tells why a
    stage has no loop. A frequent reason is stochastic depth, whose rate grows from block to block: where the network
    trains no further, put `nn.Identity()` in its place first, which computes the same in eval.

    The `nn.Sequential` must be called as a whole. A model that walks through its blocks by itself, to use what lies
    between them (as timm's `forward_intermediates` does), would miss those that became one; and of what blocks keep
    between calls besides parameters and buffers (a last output, a counter) a loop has one for all its passes. Give an
    `example` to be sure, of the forward alone.

    Args:
        model: A model with shared layers, soft or tied; it is left as it is.
        threshold: Least similarity of layers that become one, from 0 to 1 (see `tie`).
        of: What is compared: `coefficients`, as the paper does, or the effective `weights`.
        example: Input of the model (a tuple of several); folded and tied network are then compared on it in eval.

    Returns:
        A new network, equal to the tied one up to rounding; its `folding` tells what was found.

    Raises:
        ValueError: As `tie`; the model has an attribute `folding` of its own; or the folded network's output for
            `example` is another than the tied one's.
    """
    require_no_reducer(model)
    clusters = find_clusters(model, threshold, of=of)
    if hasattr(model, "folding"):
        name = type(model).__name__
        raise ValueError(f"{name} has an attribute `folding`, where a folded network tells its loops; rename it")
    tied = tie(copy.deepcopy(model), threshold, of=of)
    reference = None if example is None else _outputs(tied, example)
    folded = make_loops(tied, describe_folding(tied, clusters))
    if reference is not None:
        _require_equal(reference, folded, example)
    return folded


def find_folding(model: nn.Module, threshold: float = 0.8, *, of: Measure = "coefficients") -> Folding:
    """What `fold` would tie and how often; nothing is changed. Whether blocks allow loops shows when it is folded.

    Args:
        model: A model with shared layers, soft or tied.
        threshold: Least similarity of layers that would become one, from 0 to 1 (see `tie`).
        of: What is compared: `coefficients`, as the paper does, or the effective `weights`.

    Returns:
        The loops and the layers that would be left, with `looped` None.

    Raises:
        ValueError: As `tie`.
    """
    return describe_folding(model, find_clusters(model, threshold, of=of))


def describe_folding(model: nn.Module, clusters: dict[str, tuple[int, ...]]) -> Folding:
    """Loops and layer counts of a model, given the cluster of each layer in each group."""
    group_of = {id(bank): group for group, bank in banks(model).items()}
    stage_of = SameStageSameShape(model).stage
    labels: dict[str, list[tuple[str, int]]] = defaultdict(list)
    layers = shared = 0
    for name, module in model.named_modules():
        layers += is_shared(module) or isinstance(module, _CONVOLUTIONS)
        if is_shared(module):
            shared += 1
            source = module.__dict__["_weight_source"]
            group = group_of[id(source.bank)]
            labels[stage_of(name)].append((group, clusters[group][source.layer]))
    distinct = sum(len(set(of_group)) for of_group in clusters.values())
    return Folding({stage: find_loops(each) for stage, each in labels.items()}, layers, layers - shared + distinct)


def make_loops(model: nn.Module, folding: Folding, passes: Mapping[str, int] | None = None) -> nn.Module:
    """Puts loops in place of the blocks of a tied model, in place.

    Args:
        model: A tied model.
        folding: What was found in it; kept as `model.folding`.
        passes: How many blocks each loop has, by the name of the first of them; found by comparing them where None.

    Returns:
        The model itself.
    """
    owners = Owners(model)
    stage_of = SameStageSameShape(model).stage
    stages = {id(layer): stage_of(name) for name, layer in model.named_modules() if is_shared(layer)}
    looped: dict[str, None] = {}
    for path, parent in list(_sequentials(model)):
        children: dict[str, nn.Module] = {}
        # Not `named_children`, which leaves out a child that stands there a second time.
        held = [(name, child) for name, child in parent._modules.items() if child is not None]
        for run in runs_of(held, owners) if passes is None else _runs_told(held, path, passes):
            blocks = [block for _, block in run]
            if len(blocks) < 2 if passes is not None else not LoopedBlocks.serves(blocks):
                children |= dict(run)
                continue
            looped |= {stages[id(layer)]: None for block in blocks for layer in block.modules() if is_shared(layer)}
            children[run[0][0]] = LoopedBlocks(blocks)
        parent._modules = children
    left = [stage for stage, loops in folding.loops.items() if loops.is_recurrent and stage not in looped]
    unlooped = why_no_loop(_sequentials(model), owners, stages, left)
    model.folding = replace(folding, looped=tuple(looped), unlooped=unlooped)  # type: ignore[assignment]
    return model


def _sequentials(model: nn.Module) -> Iterator[tuple[str, nn.Sequential]]:
    for path, module in model.named_modules():
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            yield path, module


def _runs_told(
    held: list[tuple[str, nn.Module]], path: str, passes: Mapping[str, int]
) -> Iterator[list[tuple[str, nn.Module]]]:
    """Cuts the children of the module at `path` into the runs that `passes` tells of, and single ones."""
    place = 0
    while place < len(held):
        name = f"{path}.{held[place][0]}" if path else held[place][0]
        count = max(1, int(passes.get(name, 1)))
        yield held[place : place + count]
        place += count


@torch.no_grad()
def _outputs(model: nn.Module, example: Any) -> list[Any]:
    # On a copy: a model in training would change its statistics.
    arguments = example if isinstance(example, tuple) else (example,)
    return pytree.tree_leaves(copy.deepcopy(model).eval()(*arguments))


def _require_equal(reference: list[Any], folded: nn.Module, example: Any) -> None:
    problem = (
        f"{type(folded).__name__} does not run its blocks one after the other, each on the last one's output alone, "
        "or a block keeps something between calls, so it cannot be folded; tie() it"
    )
    try:
        outputs = _outputs(folded, example)
        torch.testing.assert_close(outputs, reference, rtol=1e-3, atol=1e-3 * _size(reference))
    except torch.OutOfMemoryError:
        raise
    except (AssertionError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(problem) from error


def _size(values: list[Any]) -> float:
    tensors = [value.abs().max() for value in values if isinstance(value, torch.Tensor) and value.numel()]
    return float(max(tensors, default=torch.zeros(())))
