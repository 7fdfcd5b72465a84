"""Which layers share a bank when the user does not say: same stage, same kind of layer, same weight shape."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from torch import nn

GroupOf = Callable[[str, nn.Module], Hashable | None]

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class SameStageSameShape:
    """The default rule of `share`: a function of (name, module) for one model.

    A *stage* is the innermost run of repeated blocks that a layer lies in: `layer3` of a torchvision ResNet,
    `blocks.2` of an EfficientNet, `denseblock1` of a DenseNet; the whole model where no blocks repeat.
    """

    model: nn.Module

    def __call__(self, name: str, module: nn.Module) -> str:
        """The group of a layer, for instance `layer3 Conv2d 256x256x3x3`."""
        weight = getattr(module, "weight")  # noqa: B009 - a Tensor on every layer that can share
        shape = "x".join(map(str, weight.shape))
        kind = type(module).__name__
        groups = getattr(module, "groups", 1)
        return f"{self.stage(name)} {kind} {shape}{f' groups={groups}' if groups != 1 else ''}".strip()

    def stage(self, name: str) -> str:
        """Name of the module whose children are the blocks around a layer; empty where no blocks repeat."""
        stage = ""
        parent = self.model
        path: list[str] = []
        found = False
        for part in name.split(".")[:-1]:
            child = parent.get_submodule(part)
            if _repeats(child, parent):
                stage, found = ".".join(path), True
            elif found:
                break  # inside a block that is no run of blocks itself
            path.append(part)
            parent = child
        return stage


def _repeats(child: nn.Module, parent: nn.Module) -> bool:
    if type(child) in _CONTAINERS or not any(True for _ in child.children()):
        return False
    siblings = list(parent.children())
    alike = sum(type(sibling) is type(child) for sibling in siblings)
    return alike >= 2 and 2 * alike >= len(siblings)
