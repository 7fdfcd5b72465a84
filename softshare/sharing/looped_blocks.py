"""Blocks of one structure as a loop: one body, run once a pass over shared weights and tables of all the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from softshare.sharing.convert import is_shared, plain_type
from softshare.sharing.tied_bank import TiedBank

_PLAIN = (bool, int, float, complex, str, bytes, tuple, frozenset, type(None))


class LoopedBlocks(nn.Module):
    """A run of blocks that differ in their tensors alone, as a loop.

    The body is one of the blocks. Each parameter and buffer that is a block's own (norms, biases) stands in it as a
    table [passes, ...]; the weights of shared layers come from tied banks, by the pass. So a weight that several
    passes use is stored once, and a loop's trip costs a row in some small tables.

    Attributes:
        body: The block that is run.
        banks: Tied banks whose first layer lies in these blocks.
        passes: How often the body is run.
    """

    def __init__(self, blocks: list[nn.Module]) -> None:
        """Makes a loop of blocks; they are used up.

        Args:
            blocks: Blocks that are `alike`, in the order in which they are run.
        """
        super().__init__()
        self.passes = len(blocks)
        shared = [_shared_layers(block) for block in blocks]
        self._sources = {
            name: tuple(layers[name].__dict__["_weight_source"] for layers in shared) for name in shared[0]
        }
        own = [bank for block in blocks for bank in block.modules() if isinstance(bank, TiedBank)]
        for block in blocks:
            _release(block)
        state = [(dict(block.named_parameters()), dict(block.named_buffers())) for block in blocks]
        self.body = blocks[0]
        self.banks = nn.ModuleList(own)
        self._parameter_names = tuple(state[0][0])
        self._buffer_names = tuple(state[0][1])
        for name in self._parameter_names:
            rows = [parameters[name] for parameters, _ in state]
            table = nn.Parameter(torch.stack([row.detach() for row in rows]), rows[0].requires_grad)
            _put(self.body, name, table)
        for name in self._buffer_names:
            _put(self.body, name, torch.stack([buffers[name] for _, buffers in state]))
        self.train(blocks[0].training)

    @staticmethod
    def serves(blocks: list[nn.Module]) -> bool:
        """Whether a run of blocks has a weight in common: a loop is then worth its name."""
        used = [
            (id(source.bank), source.bank.clusters[source.layer])
            for block in blocks
            for source in (layer.__dict__["_weight_source"] for layer in _shared_layers(block).values())
        ]
        return len(blocks) > 1 and len(set(used)) < len(used)

    @property
    def program(self) -> tuple[tuple[int, ...], ...]:
        """For each pass the clusters whose weights its shared layers take, [passes][shared layers]."""
        return tuple(
            tuple(sources[step].bank.clusters[sources[step].layer] for sources in self._sources.values())
            for step in range(self.passes)
        )

    def forward(self, x: Any) -> Any:
        """Runs the body once a pass: what a block takes -> what a block gives."""
        tables = [(name, self.body.get_parameter(name).unbind(0)) for name in self._parameter_names]
        buffers = [(name, self.body.get_buffer(name)) for name in self._buffer_names]
        for step in range(self.passes):
            # Rows of buffers are views: a norm that updates its statistics writes into the table.
            state = {name: rows[step] for name, rows in tables} | {name: table[step] for name, table in buffers}
            for name, sources in self._sources.items():
                source = sources[step]
                state[f"{name}.weight"] = source.bank.weight(source.layer, autocasts=source.autocasts)
            x = functional_call(self.body, state, (x,))
        return x

    def extra_repr(self) -> str:
        """The program, as `print(model)` shows it."""
        return f"passes={self.passes}, clusters a pass={self.program}"


def alike(one: nn.Module, other: nn.Module) -> bool:
    """Whether two blocks differ in nothing but the values of their tensors and the layers of the banks they use."""
    return _structure(one) == _structure(other)


def runs_of(
    blocks: Iterable[tuple[str, nn.Module]], same: Callable[[nn.Module, nn.Module], bool]
) -> list[list[tuple[str, nn.Module]]]:
    """Cuts a sequence of named blocks into runs of blocks that are the same in structure."""
    runs: list[list[tuple[str, nn.Module]]] = []
    for name, block in blocks:
        if runs and same(runs[-1][-1][1], block):
            runs[-1].append((name, block))
        else:
            runs.append([(name, block)])
    return runs


def _structure(block: nn.Module) -> list[Any]:
    described: list[Any] = []
    for name, module in block.named_modules():
        if isinstance(module, TiedBank) or any(isinstance(parent, TiedBank) for parent in _parents(block, name)):
            continue  # registered on whichever layer is the group's first
        source = module.__dict__.get("_weight_source")
        attributes = {
            key: value if isinstance(value, _PLAIN) else id(value)
            for key, value in module.__dict__.items()
            if not key.startswith("_") and key != "training"
        }
        tensors = {
            key: (tensor.shape, tensor.dtype, tensor.device, tensor.requires_grad)
            for key, tensor in {**module._parameters, **module._buffers}.items()
            if tensor is not None
        }
        hooks = [bool(module.__dict__[key]) for key in ("_forward_hooks", "_forward_pre_hooks")]
        described.append((name, type(module), attributes, tensors, hooks, source and id(source.bank)))
    return described


def _parents(block: nn.Module, name: str) -> list[nn.Module]:
    parts = name.split(".")[:-1]
    return [block.get_submodule(".".join(parts[: end + 1])) for end in range(len(parts))]


def _shared_layers(block: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in block.named_modules() if is_shared(module)}


def _release(block: nn.Module) -> None:
    """Takes shared layers off their banks: their weight is then given for each call."""
    for layer in list(_shared_layers(block).values()):
        layer.__class__ = plain_type(type(layer))
        del layer._weight_source
        layer._modules.pop("template_bank", None)
        layer.register_parameter("weight", None)


def _put(module: nn.Module, name: str, tensor: Tensor) -> None:
    *path, last = name.split(".")
    owner = module.get_submodule(".".join(path))
    if isinstance(tensor, nn.Parameter):
        owner._parameters[last] = tensor
    else:
        owner._buffers[last] = tensor
