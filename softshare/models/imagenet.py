"""The Wide ResNet for ImageNet, and its form with the paper's 12 groups (section 4.2)."""

from __future__ import annotations

import math

import torch
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

from softshare.names import BottleneckName
from softshare.sharing import TemplateBank, banks, share

# A bottleneck takes C channels to B, B to B and back to C: the paper's three types of layers.
_TYPES = {"conv1": "C-B", "conv2": "B-B", "conv3": "B-C"}


def bottleneck_wide_resnet(name: BottleneckName, num_classes: int, coefficients: str = "orthogonal") -> ResNet:
    """Builds WRN-L-w or SWRN-L-w for photographs, with the starts of fb.resnet.torch.

    The network is torchvision's, whose stride is in the 3x3 convolution as fb.resnet.torch's. Convolutions start from
    fan-out He; a soft-shared network's templates, too. Batch norm starts as the identity, the classifier's bias at 0.

    Args:
        name: Depth, width, and whether and with how many templates layers share.
        num_classes: Outputs.
        coefficients: Initialisation of a soft-shared network's coefficients (appendix B).

    Returns:
        The network, with fresh weights from torch's global generator.

    Raises:
        ValueError: The initialisation does not fit.
    """
    model = ResNet(Bottleneck, list(name.blocks), num_classes, width_per_group=64 * name.width)
    nn.init.zeros_(model.fc.bias)
    return share_bottlenecks(model, name.templates, coefficients) if name.shared else model


def bottleneck_group(name: str, module: nn.Module) -> str | None:
    """The paper's groups: for each of the 4 stages one per type of layer in a bottleneck, such as `stage1 C-B`.

    The first C-B layer of a stage takes another number of channels in than the others, and shares nothing.
    """
    stage, block, layer = [*name.split("."), "", ""][:3]
    if not stage.startswith("layer") or layer not in _TYPES or name.count(".") != 2:
        return None
    return None if block == "0" and layer == "conv1" else f"stage{stage[5:]} {_TYPES[layer]}"


def share_bottlenecks(model: ResNet, templates: int | None = None, init: str = "orthogonal") -> ResNet:
    """Makes a WRN an SWRN, in place: one bank for each of the 12 groups."""
    share(model, templates, bottleneck_group, init=init)
    for bank in banks(model).values():
        assert isinstance(bank, TemplateBank)  # nothing is tied yet
        _start_fan_out(bank)
    return model


@torch.no_grad()
def _start_fan_out(bank: TemplateBank) -> None:
    out, _, *kernel = bank.weight_shape
    bank.template_stack.normal_(0.0, math.sqrt(2.0 / (out * math.prod(kernel))))
