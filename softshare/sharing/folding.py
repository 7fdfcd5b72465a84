"""`fold`: a network with real loops over the weights that its layers share (section 4.3, appendix A of the paper)."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from softshare.sharing.clusters import check_threshold, cluster_layers
from softshare.sharing.convert import banks, is_shared
from softshare.sharing.grouping import SameStageSameShape
from softshare.sharing.looped_blocks import LoopedBlocks, alike, runs_of
from softshare.sharing.loops import Loops, find_loops
from softshare.sharing.similarity import layer_similarity
from softshare.sharing.tied_bank import TiedBank
from softshare.sharing.tying import Measure, tie

_CONVOLUTIONS = (nn.modules.conv._ConvNd,)


@dataclass(frozen=True)
class Folding:
    """What a network looks like once layers that are alike are one.

    Attributes:
        loops: For each stage what its shared layers run, in order.
        layers: Layers before: all convolutions, and all shared layers of other kinds. As the paper counts: 40 for a
            SWRN 40, with the first convolution and the three 1x1, without the classifier.
        distinct_layers: Layers after (appendix A: 24 for the paper's SWRN 40-8-8).
    """

    loops: dict[str, Loops]
    layers: int
    distinct_layers: int

    def __str__(self) -> str:
        stages = [f"{stage}: {loops}" for stage, loops in self.loops.items()]
        return "\n".join([*stages, f"{self.distinct_layers} layers in place of {self.layers}"])


def fold(model: nn.Module, threshold: float = 0.8, *, of: Measure = "coefficients") -> nn.Module:
    """Folds a network: layers that are alike are tied, and blocks run as loops over what is left.

    Neighbouring blocks of one structure in an `nn.Sequential` become `LoopedBlocks`: one body, run once a pass
    with the weights of that pass. All that blocks have besides their shared weights (norms with their statistics,
    biases, scales) is kept, in tables with a row a pass. Where layers are tied that lie in blocks of different
    structure (a stride, a padding, another container), their weight is stored once and no loop is made.

    Args:
        model: A model with shared layers, soft or tied; it is left as it is.
        threshold: Least similarity of layers that become one, from 0 to 1 (see `tie`).
        of: What is compared: `coefficients`, as the paper does, or the effective `weights`.

    Returns:
        A new network, equal to the tied one up to rounding; its `folding` tells what was found.

    Raises:
        ValueError: A threshold outside [0, 1], or a model without shared layers.
    """
    check_threshold(threshold)
    folding = find_folding(model, threshold, of=of)
    return make_loops(tie(copy.deepcopy(model), threshold, of=of), folding)


def find_folding(model: nn.Module, threshold: float = 0.8, *, of: Measure = "coefficients") -> Folding:
    """What `fold` would make of a model; nothing is changed.

    Raises:
        ValueError: A threshold outside [0, 1], or a model without shared layers.
    """
    if isinstance(getattr(model, "folding", None), Folding):
        raise ValueError(f"{type(model).__name__} is folded already; fold the network that it was made from")
    clusters: dict[str, tuple[int, ...]] = {}
    for group, matrix in layer_similarity(model, of=of).items():
        bank = banks(model)[group]
        clusters[group] = bank.clusters if isinstance(bank, TiedBank) else cluster_layers(matrix, threshold)
    return describe_folding(model, clusters)


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


def make_loops(model: nn.Module, folding: Folding) -> nn.Module:
    """Puts loops in place of the blocks of a tied model, in place.

    Args:
        model: A tied model.
        folding: What was found in it; kept as `model.folding`.

    Returns:
        The model itself.
    """
    for parent in list(_sequentials(model)):
        blocks = list(parent.named_children())
        if not any(is_shared(layer) for _, block in blocks for layer in block.modules()):
            continue  # within a run that became loops before
        looped: dict[str, nn.Module] = {}
        for run in runs_of(blocks, alike):
            name = run[0][0]
            members = [block for _, block in run]
            looped |= {name: LoopedBlocks(members)} if LoopedBlocks.serves(members) else dict(run)
        parent._modules = looped
    model.folding = folding  # type: ignore[assignment]
    return model


def _sequentials(model: nn.Module) -> Iterator[nn.Sequential]:
    for module in model.modules():
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            yield module
