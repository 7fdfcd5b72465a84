"""Names of networks: `wrn-28-10`, `swrn-28-10`, `swrn-28-10-2`. They parse, and they round-trip."""

from __future__ import annotations

import re
from dataclasses import dataclass

from softshare.errors import UserError

_PATTERN = re.compile(r"(s?)wrn-([1-9]\d{0,3})-([1-9]\d{0,3})(?:-([1-9]\d{0,3}))?")


@dataclass(frozen=True)
class WideResNetName:
    """A (soft-shared) Wide ResNet for CIFAR: SWRN-L-w-k of section 4.1.

    Attributes:
        depth: L, of the form 6n + 4.
        width: w, the widening factor: stages have 16w, 32w and 64w channels.
        shared: Whether the layers of a stage share templates.
        templates: k, templates a group; None = one per layer.
    """

    depth: int
    width: int
    shared: bool = False
    templates: int | None = None

    @property
    def blocks(self) -> int:
        """Residual blocks a stage."""
        return (self.depth - 4) // 6

    @property
    def layers(self) -> int:
        """Layers that share templates in each stage: all of its 3x3 convolutions but the first block's two."""
        return 2 * self.blocks - 2

    def __str__(self) -> str:
        name = f"{'s' if self.shared else ''}wrn-{self.depth}-{self.width}"
        return name if self.templates is None else f"{name}-{self.templates}"


def parse_model_name(name: str) -> WideResNetName:
    """Parses the name of a network.

    Raises:
        UserError: The name is of no known form, the depth does not fit, or it asks for more templates than layers.
    """
    match = _PATTERN.fullmatch(str(name))
    if not match:
        raise UserError("unknown model", key="model", value=name, remedy="known forms: wrn-L-w, swrn-L-w, swrn-L-w-k")
    shared, depth, width, templates = match.groups()
    parsed = WideResNetName(int(depth), int(width), bool(shared), int(templates) if templates else None)
    if (parsed.depth - 4) % 6 or parsed.depth < 10:
        raise UserError("the depth must be 6n + 4", key="model", value=name, remedy="for instance 16, 28 or 40")
    if templates and not shared:
        raise UserError("a plain WRN has no templates", key="model", value=name, remedy=f"write s{name}")
    if shared and parsed.layers < 2:
        raise UserError("has no two layers to share in a stage", key="model", value=name, remedy="depth 16 or more")
    if parsed.templates and parsed.templates > parsed.layers:
        raise UserError(
            f"has more templates than its {parsed.layers} layers a group",
            key="model",
            value=name,
            remedy=f"k from 1 to {parsed.layers}",
        )
    return parsed


# What a run can be trained on, and its number of classes.
DATASETS = {"cifar10": 10, "cifar100": 100, "digits": 10}
