"""The paper's networks by name, and folded networks as files."""

from softshare.models.factory import create_model
from softshare.models.folded import load_folded, save_folded
from softshare.models.wide_resnet import WideResNet

__all__ = ["WideResNet", "create_model", "load_folded", "save_folded"]
