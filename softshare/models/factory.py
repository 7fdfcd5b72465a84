"""Networks by name: `create_model("swrn-28-10-2", num_classes=10)`."""

from __future__ import annotations

from torch import nn

from softshare.errors import UserError
from softshare.models import path_cnn, wide_resnet
from softshare.models.path_cnn import PathCnn, Skip, share_path_cnn, tie_path_cnn
from softshare.models.wide_resnet import WideResNet, share_wide_resnet
from softshare.names import BottleneckName, PathCnnName, WideResNetName, parse_model_name
from softshare.sharing.grouping import GroupOf


def create_model(
    name: str,
    num_classes: int | None = None,
    dropout: float = 0.0,
    *,
    coefficients: str = "orthogonal",
    skip: Skip | None = None,
) -> nn.Module:
    """Builds one of the paper's networks.

    Args:
        name: `wrn-L-w`, `swrn-L-w` (one template per layer) or `swrn-L-w-k`, for CIFAR with L = 6n + 4 (section 4.1),
            for ImageNet with L = 50, 101 or 152 (section 4.2); `cnn-L`, `scnn-L`, `scnn-L-k` or `rnn-L` (one template,
            hard sharing) for shortest paths (section 4.4).
        num_classes: Outputs of a WRN, by default 10, of one for ImageNet 1,000; the networks for shortest paths have
            none to choose.
        dropout: Probability of dropout between the two convolutions of a WRN block for CIFAR.
        coefficients: Initialisation of a soft-shared network's coefficients (appendix B).
        skip: Where a layer for shortest paths takes its input in again: `after-relu` (default) or `before-relu`.

    Returns:
        The network, with fresh weights from torch's global generator.

    Raises:
        UserError: The name does not parse, or a setting is given that such a network does not have.
        ValueError: The initialisation does not fit.
    """
    parsed = parse_model_name(name)
    if isinstance(parsed, PathCnnName):
        _refuse(parsed, num_classes=num_classes, dropout=dropout or None)
        return _path_cnn(parsed, coefficients, skip or "after-relu")
    _refuse(parsed, skip=skip)
    if isinstance(parsed, BottleneckName):
        _refuse(parsed, dropout=dropout or None)
        from softshare.models.imagenet import bottleneck_wide_resnet  # here, for torchvision takes a second

        return bottleneck_wide_resnet(parsed, 1000 if num_classes is None else num_classes, coefficients)
    return _wide_resnet(parsed, 10 if num_classes is None else num_classes, dropout, coefficients)


def paper_groups(name: str) -> GroupOf:
    """The rule by which layers of a network share in its soft-shared form, plain or shared as it may be itself.

    Raises:
        UserError: The name does not parse.
    """
    parsed = parse_model_name(name)
    if isinstance(parsed, PathCnnName):
        return path_cnn.shared_group
    if isinstance(parsed, BottleneckName):
        from softshare.models.imagenet import bottleneck_group  # here, for torchvision takes a second

        return bottleneck_group
    return wide_resnet.shared_group


def _wide_resnet(name: WideResNetName, num_classes: int, dropout: float, coefficients: str) -> nn.Module:
    model = WideResNet(name.blocks, name.width, num_classes, dropout)
    return share_wide_resnet(model, name.templates, coefficients) if name.shared else model


def _path_cnn(name: PathCnnName, coefficients: str, skip: Skip) -> nn.Module:
    model = PathCnn(name.layers, skip)
    if name.recurrent:
        return tie_path_cnn(model)
    return share_path_cnn(model, name.templates, coefficients) if name.shared else model


def _refuse(name: object, **settings: object) -> None:
    for key, value in settings.items():
        if value is not None:
            raise UserError(f"{name} has no such setting", key=key, value=value, remedy="leave it out")
