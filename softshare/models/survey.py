"""What sharing saves in the networks of others: one row for each of many torchvision and timm architectures."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate
from torch import nn

from softshare.errors import UserError, did_you_mean
from softshare.files import write_text
from softshare.sharing import banks, share

_CONVOLUTIONS = (nn.Conv2d,)
_CONVOLUTIONS_AND_LINEAR = (nn.Conv2d, nn.Linear)
_NO_AUXILIARY = {"aux_logits": False, "init_weights": False}


@dataclass(frozen=True)
class Architecture:
    """A network of torchvision or timm, as it stands there, without pretrained weights.

    Attributes:
        name: `library.network`.
        types: Kinds of layers that share: linear ones too, where blocks are made of them.
        pixels: Side of the images that the tests give it: small ones, where it takes them.
        arguments: What its constructor is given; none of it changes what is shared.
    """

    name: str
    types: tuple[type[nn.Module], ...] = _CONVOLUTIONS
    pixels: int = 64
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """The network with fresh weights, for 1000 classes."""
        library, _, network = self.name.partition(".")
        if library == "torchvision":
            import torchvision

            return torchvision.models.get_model(network, weights=None, **self.arguments)
        import timm

        return timm.create_model(network, pretrained=False, **self.arguments)

    def build_without_weights(self) -> nn.Module:
        """The network on the meta device, which holds shapes alone; on the CPU where its code needs values."""
        with contextlib.suppress(RuntimeError, NotImplementedError), torch.device("meta"):
            return self.build()
        return self.build()


ARCHITECTURES = (
    Architecture("torchvision.resnet50"),
    Architecture("torchvision.resnext50_32x4d"),
    Architecture("torchvision.wide_resnet50_2"),
    Architecture("torchvision.vgg11_bn"),
    Architecture("torchvision.densenet121"),
    Architecture("torchvision.squeezenet1_1"),
    Architecture("torchvision.googlenet", arguments=_NO_AUXILIARY),
    Architecture("torchvision.inception_v3", pixels=80, arguments=_NO_AUXILIARY),
    Architecture("torchvision.mobilenet_v2"),
    Architecture("torchvision.mobilenet_v3_small"),
    Architecture("torchvision.mnasnet0_5"),
    Architecture("torchvision.shufflenet_v2_x0_5"),
    Architecture("torchvision.efficientnet_b0"),
    Architecture("torchvision.regnet_y_400mf"),
    Architecture("torchvision.convnext_tiny", _CONVOLUTIONS_AND_LINEAR),
    Architecture("torchvision.swin_t", _CONVOLUTIONS_AND_LINEAR),
    Architecture("timm.resnetv2_50"),
    Architecture("timm.regnetx_002"),
    Architecture("timm.res2net50_26w_4s"),
    Architecture("timm.resnest14d"),
    Architecture("timm.cspresnet50"),
    Architecture("timm.dla34"),
    Architecture("timm.hrnet_w18_small"),
    Architecture("timm.nf_regnet_b0"),
    Architecture("timm.repvgg_a0"),
    Architecture("timm.ghostnet_050"),
    Architecture("timm.tf_efficientnet_lite0"),
    Architecture("timm.mobilenetv4_conv_small"),
    Architecture("timm.mobilevit_xxs", _CONVOLUTIONS_AND_LINEAR),
    Architecture("timm.convnext_atto", _CONVOLUTIONS_AND_LINEAR),
    Architecture("timm.convmixer_768_32"),
    Architecture("timm.vit_tiny_patch16_224", _CONVOLUTIONS_AND_LINEAR, pixels=224),
    Architecture("timm.mixer_s32_224", _CONVOLUTIONS_AND_LINEAR, pixels=224),
)


@dataclass(frozen=True)
class Survey:
    """What sharing by the default grouping makes of an architecture.

    Attributes:
        architecture: What was looked at.
        groups: Groups of layers that share.
        layers: Layers in them.
        plain: Parameters of the network as it stands.
        shared: Parameters with 1 template a group, with 2, and with a template per layer (k = 1, 2, L).
    """

    architecture: Architecture
    groups: int
    layers: int
    plain: int
    shared: tuple[int, ...]


def survey(architecture: Architecture) -> Survey:
    """Shares an architecture at k = 1, 2 and L, and counts."""
    network = architecture.build_without_weights()
    plain = _parameters(network)
    counts = []
    for templates in (1, 2, None):
        shared = share(copy.deepcopy(network), templates, types=architecture.types)
        counts.append(_parameters(shared))
    groups = banks(shared).values()
    return Survey(architecture, len(groups), sum(bank.num_layers for bank in groups), plain, (*counts,))


def write_survey(out: Path | None, names: Sequence[str] | None = None) -> str:
    """The page on some architectures, all by default; written to a file where one is given.

    Raises:
        UserError: An unknown architecture, or a file that cannot be written.
    """
    known = {architecture.name: architecture for architecture in ARCHITECTURES}
    for name in names or ():
        if name not in known:
            raise UserError("unknown architecture", key="architectures", value=name, remedy=did_you_mean(name, known))
    page = render_survey([survey(known[name]) for name in names or known])
    if out is not None:
        write_text(out, page)
    return page


def render_survey(surveys: Sequence[Survey]) -> str:
    """The page as Markdown."""
    headers = ["architecture", "`types`", "groups", "shared layers", "plain", "k = 1", "k = 2", "k = L"]
    table = tabulate(
        [_row(each) for each in surveys],
        headers=headers,
        tablefmt="github",
        disable_numparse=True,
        colalign=("left", "left", *["right"] * 6),
    )
    return f"""# Any model: what sharing saves

Networks of torchvision {_release("torchvision")} and timm {_release("timm")} as they stand, for 1000 classes (GoogLeNet
and Inception without their auxiliary classifiers), shared by `softshare.share(model, templates=k, types=...)`: by
default layers of the same stage, kind and weight shape make a group. Then parameters: of the plain network, and shared
with one template a group, with two, and with a template per layer. With k = L nothing is saved: a group of L layers
has its L x L coefficients besides.

{table}

Written by `softshare survey --out FILE`.
"""


def _row(each: Survey) -> list[str]:
    types = ", ".join(kind.__name__ for kind in each.architecture.types)
    numbers = (each.groups, each.layers, each.plain, *each.shared)
    return [f"`{each.architecture.name}`", types, *(f"{number:,}" for number in numbers)]


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _release(package: str) -> str:
    return version(package).partition("+")[0]
