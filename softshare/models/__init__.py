"""The paper's networks by name."""

from softshare.models.factory import create_model
from softshare.models.wide_resnet import WideResNet

__all__ = ["WideResNet", "create_model"]
