"""`unshare`: a shared model becomes a plain one again, with the weights that it has."""

from __future__ import annotations

import torch
from torch import nn

from softshare.sharing.candidates import is_shared
from softshare.sharing.forward_marks import unmark_forward
from softshare.sharing.looped_blocks import LoopedBlocks
from softshare.sharing.loops import Folding
from softshare.sharing.shared_layer import detach, plain_type
from softshare.sharing.wrapped import require_no_reducer


def unshare(model: nn.Module) -> nn.Module:
    """Turns the shared layers of a model back into plain ones, in place; each keeps the weight that it has.

    Each layer is of its original type again, and its weight an ordinary parameter in its old place: the state dict has
    the names, order and shapes of the plain architecture, and outputs are the same bits. Banks go, and so do the hooks
    that `share` left. Weights are then constants to all that captures or converts a model (`torch.export`,
    `torch.jit.trace`, ONNX, quantisation, fusing with batch norm); those of a shared model are mixed at each call. To
    keep the shared model as well, give a copy: `unshare(copy.deepcopy(model))`.

    Layers that were tied get a weight each, its scale included. From here on nothing holds layers together: trained
    further, each goes its own way.

    Args:
        model: A model with shared layers, soft or tied; the whole one, for layers outside it may take their weight from
            a bank inside, and would be left without. Layers whose bank lies outside are turned back too.

    Returns:
        The model itself. An optimiser, an average of weights or DDP of before hold the parameters of the banks, which
        the model no longer has; make them anew.

    Raises:
        ValueError: A model without shared layers, in DDP, or folded, or a layer that was parametrised after it was
            shared. The model is then unchanged.
        RuntimeError: A kept weight was written to.
    """
    require_no_reducer(model)
    kind = type(model).__name__
    folded = isinstance(getattr(model, "folding", None), Folding)
    if folded or any(isinstance(module, LoopedBlocks) for module in model.modules()):
        raise ValueError(f"{kind} is folded; take the network that it was made from")
    named = {name: module for name, module in model.named_modules() if is_shared(module)}
    if not named:
        raise ValueError(f"{kind} has no shared layers; it is plain already")
    for name, layer in named.items():
        if plain_type(type(layer)) is type(layer):
            raise ValueError(f"layer {name!r} was given another type after it was shared; take parametrisations off it")
    shared = list(named.values())
    weights = [_own_weight(layer) for layer in shared]
    banks = {id(layer.__dict__["_weight_source"].bank) for layer in shared}
    for layer, weight in zip(shared, weights, strict=True):
        detach(layer, weight)
    for module in model.modules():
        for name in [name for name, child in module._modules.items() if id(child) in banks]:
            del module._modules[name]
    # Parts may have been shared one by one, and be marked each for itself.
    for module in model.modules():
        unmark_forward(module)
    return model


def _own_weight(layer: nn.Module) -> nn.Parameter:
    source = layer.__dict__["_weight_source"]
    with torch.inference_mode(False), torch.enable_grad():
        weight = source.bank.weight(source.layer)
        return nn.Parameter(weight.detach().clone(), requires_grad=weight.requires_grad)
