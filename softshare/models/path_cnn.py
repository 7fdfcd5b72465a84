"""The networks of the shortest-path task: CNN, soft-shared SCNN, and hard-shared RNN (section 4.4 of the paper)."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor, nn

from softshare.errors import UserError, did_you_mean
from softshare.models.native_norm import norm_relu
from softshare.sharing import banks, share
from softshare.sharing.initialise import he_normal_

Skip = Literal["after-relu", "before-relu"]

CHANNELS = 32


class PathLayer(nn.Module):
    """3x3 convolution, batch norm, ReLU, with a skip connection over it.

    The paper: "followed by batch normalization, a ReLU non-linearity, and has a 1-skip connection". Read word for
    word the input is added last, `after-relu`: x + relu(norm(conv(x))). Residual networks of that time add it
    `before-relu`: relu(x + norm(conv(x))).
    """

    def __init__(self, channels: int, skip: Skip) -> None:
        super().__init__()
        # No bias: the norm would take it out again.
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        y = self.conv(x)
        if self.skip == "before-relu":
            return self.relu(self.norm(y).add_(x))
        return norm_relu(self.norm, self.relu, y, x)

    def extra_repr(self) -> str:
        """Where the skip joins, as `print(model)` shows it."""
        return f"skip={self.skip}"


class PathCnn(nn.Module):
    """A 1x1 convolution from 2 to 32 channels, L layers of 3x3 convolutions, a 1x1 convolution to 1.

    The two 1x1 convolutions have biases, which start at 0, for no norm follows them; the paper does not tell.

    Args:
        layers: L; the paper's is 20.
        skip: Where a layer's input is added to it, see `PathLayer`.

    Raises:
        UserError: An unknown `skip`.
    """

    def __init__(self, layers: int = 20, skip: Skip = "after-relu") -> None:
        super().__init__()
        if skip not in get_args(Skip):
            raise UserError("unknown skip", key="skip", value=skip, remedy=did_you_mean(skip, get_args(Skip)))
        self.encode = nn.Conv2d(2, CHANNELS, 1)
        self.layers = nn.Sequential(*(PathLayer(CHANNELS, skip) for _ in range(layers)))
        self.decode = nn.Conv2d(CHANNELS, 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                he_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, grids: Tensor) -> Tensor:
        """Queries and obstacles [N, 2, H, W] -> logits of lying on a shortest path [N, H, W]."""
        return self.decode(self.layers(self.encode(grids))).squeeze(1)


def shared_group(name: str, module: nn.Module) -> str | None:
    """The one group: all 3x3 convolutions."""
    return "layers" if name.startswith("layers.") and name.endswith(".conv") else None


def share_path_cnn(model: PathCnn, templates: int | None = None, init: str = "orthogonal") -> PathCnn:
    """Makes a CNN an SCNN, in place: one bank for all 3x3 convolutions."""
    share(model, templates, shared_group, init=init)
    return model


def tie_path_cnn(model: PathCnn) -> PathCnn:
    """Makes a CNN an RNN, in place: hard sharing, one template that every layer takes as it is.

    That is a bank of one template whose coefficients are 1 and are not trained. Each step keeps its own batch norm.
    """
    share(model, 1, shared_group)
    for bank in banks(model).values():
        nn.init.ones_(bank.coefficients)
        bank.coefficients.requires_grad_(False)
    return model
