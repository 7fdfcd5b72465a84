"""Names of networks, such as `wrn-28-10`, `swrn-28-10-2`, `scnn-20`. They parse, and they round-trip."""

from __future__ import annotations

import re
from dataclasses import dataclass

from softshare.errors import UserError, did_you_mean

_NUMBER = r"([1-9][0-9]{0,3})"  # not \d, which takes the digits of every script
_BOTTLENECK = re.compile(rf"(s?)wrn-(50|101|152)-{_NUMBER}(?:-{_NUMBER})?")
_WIDE_RESNET = re.compile(rf"(s?)wrn-{_NUMBER}-{_NUMBER}(?:-{_NUMBER})?")
_PATH_CNN = re.compile(rf"(s?c|r)nn-{_NUMBER}(?:-{_NUMBER})?")
_KNOWN_FORMS = (
    "known forms: wrn-L-w, swrn-L-w, swrn-L-w-k (L = 6n + 4, or 50, 101, 152), cnn-L, scnn-L, scnn-L-k, rnn-L"
)


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


@dataclass(frozen=True)
class BottleneckName:
    """A (soft-shared) Wide ResNet for ImageNet, made of bottlenecks: WRN 50-2 of section 4.2.

    Attributes:
        depth: 50, 101 or 152.
        width: w, the widening factor of the 3x3 convolutions: 64w, 128w, 256w and 512w channels.
        shared: Whether layers of one type share templates in each stage.
        templates: k, templates a group; None = one per layer.
    """

    depth: int
    width: int
    shared: bool = False
    templates: int | None = None

    @property
    def blocks(self) -> tuple[int, int, int, int]:
        """Bottlenecks in each stage."""
        return {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}[self.depth]

    @property
    def layers(self) -> int:
        """Layers of the smallest group: a stage's first 1x1 convolutions, but for the first block's."""
        return min(self.blocks) - 1

    def __str__(self) -> str:
        name = f"{'s' if self.shared else ''}wrn-{self.depth}-{self.width}"
        return name if self.templates is None else f"{name}-{self.templates}"


@dataclass(frozen=True)
class PathCnnName:
    """A network for shortest paths (section 4.4): CNN-L, SCNN-L-k with soft sharing, RNN-L with hard sharing.

    Attributes:
        layers: L, its 3x3 convolutions, which all share templates where any do.
        shared: Whether they share templates.
        templates: k, templates in all; None = one per layer.
        recurrent: Whether all layers have one weight: shared, with one template.
    """

    layers: int
    shared: bool = False
    templates: int | None = None
    recurrent: bool = False

    def __str__(self) -> str:
        if self.recurrent:
            return f"rnn-{self.layers}"
        name = f"{'s' if self.shared else ''}cnn-{self.layers}"
        return name if self.templates is None else f"{name}-{self.templates}"


def parse_model_name(name: str) -> WideResNetName | BottleneckName | PathCnnName:
    """Parses the name of a network.

    Raises:
        UserError: The name is of no known form, the depth does not fit, or it asks for more templates than layers.
    """
    if match := _BOTTLENECK.fullmatch(str(name)):
        return _bottleneck(name, *match.groups())
    if match := _WIDE_RESNET.fullmatch(str(name)):
        return _wide_resnet(name, *match.groups())
    if match := _PATH_CNN.fullmatch(str(name)):
        return _path_cnn(name, *match.groups())
    raise UserError("unknown model", key="model", value=name, remedy=_KNOWN_FORMS)


def _wide_resnet(name: str, shared: str, depth: str, width: str, templates: str | None) -> WideResNetName:
    parsed = WideResNetName(int(depth), int(width), bool(shared), int(templates) if templates else None)
    if (parsed.depth - 4) % 6 or parsed.depth < 10:
        remedy = "for instance 16, 28 or 40; for ImageNet 50, 101 or 152"
        raise UserError("the depth must be 6n + 4", key="model", value=name, remedy=remedy)
    _require_shared(parsed, name)
    if shared and parsed.layers < 2:
        raise UserError("has no two layers to share in a stage", key="model", value=name, remedy="depth 16 or more")
    _require_templates_fit(name, parsed.templates, parsed.layers)
    return parsed


def _bottleneck(name: str, shared: str, depth: str, width: str, templates: str | None) -> BottleneckName:
    parsed = BottleneckName(int(depth), int(width), bool(shared), int(templates) if templates else None)
    _require_shared(parsed, name)
    _require_templates_fit(name, parsed.templates, parsed.layers)
    return parsed


def _require_shared(parsed: WideResNetName | BottleneckName, name: str) -> None:
    if parsed.templates and not parsed.shared:
        raise UserError("a plain WRN has no templates", key="model", value=name, remedy=f"write s{name}")


def _path_cnn(name: str, kind: str, depth: str, templates: str | None) -> PathCnnName:
    layers = int(depth)
    if layers < 2:
        raise UserError("needs at least 2 layers", key="model", value=name, remedy="the paper's have 20")
    if templates and kind == "c":
        raise UserError("a plain CNN has no templates", key="model", value=name, remedy=f"write s{name}")
    if templates and kind == "r":
        remedy = f"write rnn-{layers} or sc{name[1:]}"
        raise UserError("an RNN has one template", key="model", value=name, remedy=remedy)
    _require_templates_fit(name, int(templates) if templates else None, layers)
    if kind == "r":
        return PathCnnName(layers, shared=True, templates=1, recurrent=True)
    return PathCnnName(layers, kind == "sc", int(templates) if templates else None)


def _require_templates_fit(name: str, templates: int | None, layers: int) -> None:
    if templates and templates > layers:
        raise UserError(
            f"has more templates than its {layers} layers a group",
            key="model",
            value=name,
            remedy=f"k from 1 to {layers}",
        )


# What a run can be trained on in memory, and its number of classes.
DATASETS = {"cifar10": 10, "cifar100": 100, "digits": 10}

# Photographs that stay on disk: ImageNet (ILSVRC 2012), and class folders of one's own.
PHOTOGRAPHS = ("imagenet", "folder")

# The task of section 4.4: its examples are drawn, and networks of their own are trained on them.
SHORTEST_PATHS = "shortest-paths"


def require_dataset(name: str, key: str | None = None) -> None:
    """Refuses what names no dataset.

    Args:
        name: What stands there.
        key: The key it stands under; None where whoever catches the error says so.

    Raises:
        UserError: It names none.
    """
    if name not in (known := (*DATASETS, *PHOTOGRAPHS, SHORTEST_PATHS)):
        raise UserError("unknown dataset", key=key, value=name, remedy=did_you_mean(name, known))


def require_fit(model: str, dataset: str) -> None:
    """Refuses a network on a dataset that it is not made for.

    Raises:
        UserError: One of the names is unknown, or a network for images is to find paths or the other way round.
    """
    require_dataset(dataset, "dataset")
    finds_paths = isinstance(parse_model_name(model), PathCnnName)
    if finds_paths != (dataset == SHORTEST_PATHS):
        made_for = SHORTEST_PATHS if finds_paths else "images"
        remedy = "for instance scnn-20" if dataset == SHORTEST_PATHS else "for instance swrn-28-10 or swrn-50-2"
        raise UserError(f"is made for {made_for}, not for {dataset}", key="model", value=model, remedy=remedy)
