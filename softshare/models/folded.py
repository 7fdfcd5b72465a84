"""A folded network as a file that stands by itself: each shared weight once, and how the network is put together."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from softshare.errors import UserError
from softshare.files import LARGEST_WEIGHTS, plain_file
from softshare.models.factory import create_model
from softshare.models.weights import unreadable, write_weights
from softshare.sharing import Folding, TiedBank, banks
from softshare.sharing.folding import describe_folding, make_loops
from softshare.sharing.looped_blocks import LoopedBlocks
from softshare.sharing.tying import tie_like
from softshare.sharing.wrapped import wrapper_of

# Of buffers that a file does not hold (`persistent=False`), by name.
_TYPES = {str(dtype): dtype for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16)}


def save_folded(network: nn.Module, file: str | Path, name: str | None = None, **settings: Any) -> None:
    """Writes a folded network.

    Args:
        network: What `fold` gave.
        file: A `.safetensors` file.
        name: The network's name before it was folded (`swrn-28-10-4`), where `create_model` knows it; the file can then
            be loaded by itself.
        settings: What else `create_model` was given (`num_classes`, `dropout`, `skip`), as JSON can hold it.

    Raises:
        UserError: The network is not folded, is wrapped (by `torch.compile`, say), is not what `create_model` makes of
            the name and settings, or the file cannot be written.
    """
    file, saved = Path(file), network.state_dict().keys()
    if not isinstance(getattr(network, "folding", None), Folding):
        raise UserError("is no folded network", value=type(network).__name__, remedy="call softshare.fold() first")
    if inner := wrapper_of(network):
        raise UserError(
            "wraps the folded network, and its names would be saved with it",
            value=type(network).__name__,
            remedy=f"save its .{inner}",
        )
    description = {
        "model": name,
        "settings": settings,
        "ties": [
            {"clusters": bank.clusters, "lenders": bank.lenders}
            for bank in banks(network).values()
            if isinstance(bank, TiedBank)
        ],
        "loops": {path: module.passes for path, module in network.named_modules() if isinstance(module, LoopedBlocks)},
        "frozen": [path for path, parameter in network.named_parameters() if not parameter.requires_grad],
        "unsaved": {path: str(buffer.dtype) for path, buffer in network.named_buffers() if path not in saved},
    }
    if name and not _makes(description, network):
        raise UserError(
            "makes another network than the one that was folded", key="name", value=name,
            remedy="give the settings it was made with, such as num_classes or dropout",
        )  # fmt: skip
    write_weights(file, network, description)


def load_folded(file: str | Path, network: nn.Module | None = None) -> nn.Module:
    """Reads a folded network.

    Args:
        file: What `save_folded` wrote.
        network: Where the file names no network of this package: a model of the architecture that was folded, shared in
            the same way and not tied (its weights do not matter); it is used up.

    Returns:
        The folded network, in eval mode, on the CPU; frozen is what was frozen, and each tensor has the type that it
        had.

    Raises:
        UserError: No such file, a truncated one, one that holds no folded network, or one that does not fit `network`.
    """
    file = Path(file)
    try:
        with safe_open(plain_file(file, LARGEST_WEIGHTS), framework="pt") as stored:
            description = json.loads((stored.metadata() or {})["softshare"])
        named = bool(description["model"])
        if "ties" not in description:
            raise KeyError("ties")
        missing = {"settings", "loops", "frozen", "unsaved"} - set(description)
    except (SafetensorError, OSError) as error:
        raise unreadable(file, error) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError("holds no folded network", file=file, remedy="softshare.save_folded() writes one") from error
    if missing:
        remedy = "fold the network again"
        raise UserError(f"was written by an earlier version (tells no {min(missing)!r})", file=file, remedy=remedy)
    if network is None and not named:
        raise UserError("names no network", file=file, remedy="give one, shared as the one that was folded")
    try:
        rebuilt = _rebuilt(description, network)
        state = load_file(file)
        for name, tensor in itertools.chain(rebuilt.named_parameters(), rebuilt.named_buffers()):
            # To copy into a tensor of another type would round without a word.
            kept = state[name].dtype if name in state else _TYPES.get(description["unsaved"].get(name), tensor.dtype)
            tensor.data = tensor.data.to(kept)
        rebuilt.load_state_dict(state)
        for name, parameter in rebuilt.named_parameters():
            parameter.requires_grad_(name not in description["frozen"])
    except (SafetensorError, OSError) as error:
        raise unreadable(file, error) from error
    except (UserError, ValueError, RuntimeError, KeyError, IndexError, TypeError, AttributeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"does not fit the network ({lines[-1].strip()})", file=file) from error
    return rebuilt.eval()


def _makes(description: dict[str, Any], network: nn.Module) -> bool:
    try:
        return str(_rebuilt(description, None)) == str(network)
    except (ValueError, RuntimeError, KeyError, AttributeError):
        return False


def _rebuilt(description: dict[str, Any], network: nn.Module | None) -> nn.Module:
    """A network put together as the folded one was, with values yet to be loaded."""
    ties = [(tuple(map(int, tie["clusters"])), tuple(map(int, tie["lenders"]))) for tie in description["ties"]]
    if network is None:
        network = create_model(description["model"], **description["settings"])
    if isinstance(getattr(network, "folding", None), Folding):
        raise ValueError("it is folded already")
    tie_like(network, ties)
    clusters = {group: tie[0] for group, tie in zip(banks(network), ties, strict=True)}
    return make_loops(network, describe_folding(network, clusters), description["loops"])
