"""Which layers share a bank when the user does not say: same stage, same kind of layer, same weight shape."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from softshare.sharing.candidates import weight_shape

GroupOf = Callable[[str, nn.Module], Hashable | None]

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class SameStageSameShape:
    """The default rule of `share`: a function of (name, module) for one model, as it is when first asked.

    A *stage* is the outermost run of repeated blocks that a layer lies in: `layer3` of a torchvision ResNet, `s3` of
    a timm RegNet, `blocks.2` of an EfficientNet, `features.denseblock1` of a DenseNet; the whole model where no
    blocks repeat. Children of a module are repeated blocks where half of them are of one type, and two of these agree
    in half of the shapes of their weights: stages of a network, each wider than the one before, are none.
    """

    model: nn.Module

    def __call__(self, name: str, module: nn.Module) -> str:
        """The group of a layer, for instance `layer3 Conv2d 256x256x3x3`."""
        shape = "x".join(map(str, weight_shape(module) or ()))
        kind = type(module).__name__
        groups = getattr(module, "groups", 1)
        return f"{self.stage(name)} {kind} {shape}{f' groups={groups}' if groups != 1 else ''}".strip()

    def stage(self, name: str) -> str:
        """Name of the module whose children are the blocks around a layer; empty where no blocks repeat."""
        return self._stages.get(name, "")

    @cached_property
    def _stages(self) -> dict[str, str]:
        return dict(_stages(self.model, "", None))


def _stages(parent: nn.Module, path: str, stage: str | None) -> Iterator[tuple[str, str]]:
    """The stage of every module below `parent`, which lies at `path`."""
    repeating = _repeating_types(parent) if stage is None else set()
    for part, child in parent.named_children():
        name = f"{path}.{part}" if path else part
        found = path if type(child) in repeating else stage
        yield name, found or ""
        yield from _stages(child, name, found)


def _repeating_types(parent: nn.Module) -> set[type[nn.Module]]:
    """Types of those children of a module that are repeated blocks."""
    children = list(parent.children())
    of_type: dict[type[nn.Module], list[nn.Module]] = defaultdict(list)
    for child in children:
        if type(child) not in _CONTAINERS and weight_shape(child) is None:
            of_type[type(child)].append(child)
    contained = type(parent) in _CONTAINERS
    many = {kind: blocks for kind, blocks in of_type.items() if 2 * len(blocks) >= len(children)}
    return {kind for kind, blocks in many.items() if _are_blocks(blocks, contained)}


def _are_blocks(modules: list[nn.Module], contained: bool) -> bool:
    shapes = [_weight_shapes(module) for module in modules]
    # Within a block a convolution often has a wrapper of its own, with its norm: that is no block.
    if not contained and all(len(of_one) < 2 for of_one in shapes):
        return False
    return any(_are_alike(set(one), set(other)) for one, other in itertools.combinations(shapes, 2))


def _are_alike(one: set[tuple[int, ...]], other: set[tuple[int, ...]]) -> bool:
    return bool(one and other) and 2 * len(one & other) >= min(len(one), len(other))


def _weight_shapes(block: nn.Module) -> list[tuple[int, ...]]:
    shapes = (weight_shape(module) for module in block.modules())
    return [shape for shape in shapes if shape is not None and len(shape) > 1]
