"""The Wide ResNet for CIFAR, and its soft-shared form (section 4.1 of the paper)."""

from __future__ import annotations

from torch import Tensor, nn

from softshare.models.dropout import Dropout
from softshare.models.native_norm import norm_relu
from softshare.sharing import share
from softshare.sharing.initialise import he_normal_


class WideBlock(nn.Module):
    """Pre-activation residual block: norm, ReLU, 3x3, norm, ReLU, dropout, 3x3 (Zagoruyko & Komodakis, 2016)."""

    def __init__(self, into: int, out: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(into)
        self.conv1 = nn.Conv2d(into, out, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out)
        self.dropout = Dropout(dropout)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        # At width 1 the first stage keeps its 16 channels and needs no projection.
        self.shortcut = nn.Conv2d(into, out, 1, stride, bias=False) if into != out or stride != 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H / stride, W / stride]."""
        active = norm_relu(self.norm1, self.relu, x)
        skip = x if self.shortcut is None else self.shortcut(active)
        y = self.conv1(active)
        y = self.conv2(self.dropout(norm_relu(self.norm2, self.relu, y)))
        return y.add_(skip)


class WideResNet(nn.Module):
    """WRN-L-w: three stages of (L - 4) / 6 blocks with 16w, 32w and 64w channels.

    Args:
        blocks: Blocks a stage.
        width: w, the widening factor.
        num_classes: Outputs.
        dropout: Probability between a block's two convolutions.
    """

    def __init__(self, blocks: int, width: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        channels = [16, 16 * width, 32 * width, 64 * width]
        self.stem = nn.Conv2d(3, channels[0], 3, padding=1, bias=False)
        self.stage1 = _stage(channels[0], channels[1], 1, blocks, dropout)
        self.stage2 = _stage(channels[1], channels[2], 2, blocks, dropout)
        self.stage3 = _stage(channels[2], channels[3], 2, blocks, dropout)
        self.norm = nn.BatchNorm2d(channels[3])
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels[3], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                he_normal_(module.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, 3, H, W] -> scores [N, classes]."""
        x = self.stem(images)
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.classifier(self.pool(norm_relu(self.norm, self.relu, x)).flatten(1))


def shared_group(name: str, module: nn.Module) -> str | None:
    """The paper's groups: a stage's 3x3 convolutions, all but the first block's two (section 4.1)."""
    stage, _, rest = name.partition(".")
    in_stage = stage.startswith("stage") and not rest.startswith("0.")
    return stage if in_stage and rest.endswith(("conv1", "conv2")) else None


def share_wide_resnet(model: WideResNet, templates: int | None = None, init: str = "orthogonal") -> WideResNet:
    """Makes a WRN an SWRN, in place: one bank a stage."""
    share(model, templates, shared_group, init=init)
    return model


def _stage(into: int, out: int, stride: int, blocks: int, dropout: float) -> nn.Sequential:
    first = WideBlock(into, out, stride, dropout)
    return nn.Sequential(first, *(WideBlock(out, out, 1, dropout) for _ in range(blocks - 1)))
