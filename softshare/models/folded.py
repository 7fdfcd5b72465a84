"""A folded network as a file that stands by itself: each shared weight once, and how the network is put together."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_file
from torch import nn

from softshare.errors import UserError
from softshare.files import written_whole
from softshare.models.factory import create_model
from softshare.sharing import Folding, TiedBank, banks
from softshare.sharing.folding import describe_folding, make_loops
from softshare.sharing.tying import tie_like


def save_folded(network: nn.Module, file: Path, name: str | None = None) -> None:
    """Writes a folded network.

    Args:
        network: What `fold` gave.
        file: A `.safetensors` file.
        name: The network's name before it was folded (`swrn-28-10-4`), where `create_model` knows it.

    Raises:
        UserError: The network is not folded, or the file cannot be written.
    """
    if not isinstance(getattr(network, "folding", None), Folding):
        raise UserError("is no folded network", value=type(network).__name__, remedy="call softshare.fold() first")
    ties = {
        group: {"clusters": bank.clusters, "lenders": bank.lenders}
        for group, bank in banks(network).items()
        if isinstance(bank, TiedBank)
    }
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()}
    classes = [module for module in network.modules() if isinstance(module, nn.Linear)][-1:]
    description = {
        "model": name,
        "num_classes": classes[0].out_features if classes else None,
        "ties": ties,
    }
    with written_whole(file) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # safetensors makes files that others cannot read
        save_file(state, temporary, metadata={"softshare": json.dumps(description)})
        temporary.chmod(mode)


def load_folded(file: Path, network: nn.Module | None = None) -> nn.Module:
    """Reads a folded network.

    Args:
        file: What `save_folded` wrote.
        network: Where the file names no network of this package: a model of the architecture that was folded, shared in
            the same way (its weights do not matter); it is used up.

    Returns:
        The folded network, in eval mode.

    Raises:
        UserError: No such file, a truncated one, one that holds no folded network, or one that does not fit `network`.
    """
    try:
        with safe_open(file, framework="pt") as stored:
            description = json.loads((stored.metadata() or {})["softshare"])
        ties = {group: (tuple(tie["clusters"]), tuple(tie["lenders"])) for group, tie in description["ties"].items()}
    except FileNotFoundError as error:
        raise UserError("no such file", file=file) from error
    except SafetensorError as error:
        raise UserError(f"cannot be read ({error})", file=file, remedy="is it truncated?") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError("holds no folded network", file=file, remedy="softshare.save_folded() writes one") from error
    if network is None:
        if not description["model"]:
            raise UserError("names no network", file=file, remedy="give one, shared as the one that was folded")
        network = create_model(description["model"], description["num_classes"])
    try:
        tie_like(network, ties)
        clusters = {group: of_group for group, (of_group, _) in ties.items()}
        make_loops(network, describe_folding(network, clusters))
        load_model(network, file)
    except (ValueError, RuntimeError) as error:
        first = str(error).splitlines()[-1].strip()
        raise UserError(f"does not fit the network ({first})", file=file) from error
    return network.eval()
