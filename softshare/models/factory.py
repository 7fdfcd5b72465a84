"""Networks by name: `create_model("swrn-28-10-2", num_classes=10)`."""

from __future__ import annotations

from torch import nn

from softshare.models.wide_resnet import WideResNet, share_wide_resnet
from softshare.names import parse_model_name


def create_model(
    name: str, num_classes: int = 10, dropout: float = 0.0, *, coefficients: str = "orthogonal"
) -> nn.Module:
    """Builds one of the paper's networks.

    Args:
        name: `wrn-L-w`, `swrn-L-w` (one template per layer) or `swrn-L-w-k` (section 4.1).
        num_classes: Outputs.
        dropout: Probability of dropout between a block's two convolutions.
        coefficients: Initialisation of a shared network's coefficients (appendix B).

    Returns:
        The network, with fresh weights from torch's global generator.

    Raises:
        UserError: The name does not parse.
        ValueError: The initialisation does not fit.
    """
    parsed = parse_model_name(name)
    model = WideResNet(parsed.blocks, parsed.width, num_classes, dropout)
    return share_wide_resnet(model, parsed.templates, coefficients) if parsed.shared else model
