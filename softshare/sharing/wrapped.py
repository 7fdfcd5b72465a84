"""Wrappers that hold a model's parameters besides the model, which must not be given new ones inside."""

from __future__ import annotations

from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel


def require_no_reducer(model: nn.Module) -> None:
    """Refuses a model whose gradients DDP averages: it would go on with the parameters that it was made with.

    Raises:
        ValueError: It is wrapped so, or has such a part.
    """
    for name, module in model.named_modules():
        if isinstance(module, DistributedDataParallel):
            inner = f"the model's {name}.module" if name else "its .module"
            raise ValueError(
                "DistributedDataParallel goes on with the parameters that it was made with, and would not average new "
                f"ones over processes; pass {inner}, and wrap the result"
            )


def wrapper_of(model: nn.Module) -> str:
    """The name of the model in a wrapper (of `torch.compile`, an average of weights, DDP); empty where it is none."""
    if "_orig_mod" in model._modules:
        return "_orig_mod"
    return "module" if isinstance(model, AveragedModel | nn.DataParallel | DistributedDataParallel) else ""
