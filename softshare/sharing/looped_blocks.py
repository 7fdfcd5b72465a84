"""Blocks of one structure as a loop: one body, run once a pass over shared weights and tables of all the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from softshare.sharing.candidates import is_shared
from softshare.sharing.shared_layer import detach
from softshare.sharing.tied_bank import TiedBank

_PLAIN = (bool, int, float, complex, str, bytes, torch.Size, torch.dtype, torch.device, type(None))


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
            blocks: A run of `runs_of`, in the order in which they are run.
        """
        super().__init__()
        self.passes = len(blocks)
        shared = [shared_layers(block) for block in blocks]
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
        self.training = blocks[0].training  # the body's modules keep their own

    @staticmethod
    def serves(blocks: list[nn.Module]) -> bool:
        """Whether a run of blocks has a weight in common: a loop is then worth its name."""
        used = [
            (id(source.bank), source.bank.clusters[source.layer])
            for block in blocks
            for source in (layer.__dict__["_weight_source"] for layer in shared_layers(block).values())
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
            rows_of = {name: table[step] for name, table in buffers}
            state = {name: rows[step] for name, rows in tables} | rows_of
            for name, sources in self._sources.items():
                source = sources[step]
                state[f"{name}.weight"] = source.bank.weight(source.layer, autocasts=source.autocasts)
            x = functional_call(self.body, state, (x,))
            for name, table in buffers:
                if state[name] is not rows_of[name]:  # assigned anew by the body's forward
                    table[step] = state[name].detach()
        return x

    def extra_repr(self) -> str:
        """The program, as `print(model)` shows it."""
        return f"passes={self.passes}, clusters a pass={self.program}"


class Owners:
    """Who has what in a model: a block may be looped only if all in it is its own."""

    def __init__(self, model: nn.Module) -> None:
        self._counts: Counter[int] = Counter()
        for module in model.modules():
            if not isinstance(module, TiedBank):
                held = (*module._modules.values(), *module._parameters.values(), *module._buffers.values())
                self._counts.update(id(each) for each in held if each is not None)

    def alone(self, block: nn.Module) -> bool:
        """Whether a block, its modules, parameters and buffers each stand in one place of the model."""
        held: list[object] = [block]
        for _, module in _own_modules(block):
            held += [*module._modules.values(), *module._parameters.values(), *module._buffers.values()]
        return all(self._counts[id(each)] <= 1 for each in held if each is not None)


def runs_of(blocks: Iterable[tuple[str, nn.Module]], owners: Owners) -> list[list[tuple[str, nn.Module]]]:
    """Cuts a sequence of named blocks into runs that may be loops.

    Blocks of a run differ in nothing but the values of their tensors and the layers of the banks that they use,
    and have all that is in them to themselves.
    """
    runs: list[list[tuple[str, nn.Module]]] = []
    last = None
    for name, block in blocks:
        structure = structure_of(block) if owners.alone(block) else None
        if structure is not None and structure == last:
            runs[-1].append((name, block))
        else:
            runs.append([(name, block)])
        last = structure
    return runs


def structure_of(block: nn.Module) -> list[Any]:
    """What must be equal in blocks of one loop, module by module: name, type, attributes, tensors, hooks, bank."""
    described: list[Any] = []
    for name, module in _own_modules(block):
        source = module.__dict__.get("_weight_source")
        attributes = {
            key: _comparable(value)
            for key, value in module.__dict__.items()
            if key not in _BOOKKEEPING or key in ("training", "_non_persistent_buffers_set")
        }
        tensors = {
            key: (tensor.shape, tensor.dtype, tensor.device, tensor.requires_grad)
            for key, tensor in {**module._parameters, **module._buffers}.items()
            if tensor is not None
        }
        hooks = [
            (key, [id(hook) for hook in value.values()])
            for key, value in module.__dict__.items()
            if "hook" in key and isinstance(value, dict)
        ]
        described.append((name, type(module), attributes, tensors, hooks, source and id(source.bank)))
    return described


# What every module has; ours; and hooks, which are looked at by themselves.
_BOOKKEEPING = {*vars(nn.Module()), "_weight_source", "_template_banks", "_way_to_banks"}


def _comparable(value: Any) -> Any:
    """A value that is equal for equal attributes; of what is not known to be plain, nothing but itself is equal."""
    if isinstance(value, tuple | list):
        return type(value), [_comparable(each) for each in value]
    if isinstance(value, set | frozenset):
        return type(value), sorted(map(repr, value))
    return (type(value), value) if isinstance(value, _PLAIN) else (type(value), id(value))


def _own_modules(block: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """A block's modules but for banks: those are registered on whichever layer is their group's first."""
    for name, module in block.named_modules():
        if not any(isinstance(each, TiedBank) for each in (module, *_parents(block, name))):
            yield name, module


def _parents(block: nn.Module, name: str) -> list[nn.Module]:
    parts = name.split(".")[:-1]
    return [block.get_submodule(".".join(parts[: end + 1])) for end in range(len(parts))]


def shared_layers(block: nn.Module) -> dict[str, nn.Module]:
    """The layers of a block that take their weight from a bank, by name."""
    return {name: module for name, module in block.named_modules() if is_shared(module)}


def _release(block: nn.Module) -> None:
    """Takes shared layers off their banks: their weight is then given for each call."""
    for layer in list(shared_layers(block).values()):
        detach(layer, None)
        layer._modules.pop("template_bank", None)


def _put(module: nn.Module, name: str, tensor: Tensor) -> None:
    *path, last = name.split(".")
    owner = module.get_submodule(".".join(path))
    if isinstance(tensor, nn.Parameter):
        owner._parameters[last] = tensor
    else:
        owner._buffers[last] = tensor
