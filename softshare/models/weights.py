"""A model's weights as a safetensors file: written whole, with a description, and read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from softshare.errors import UserError
from softshare.files import LARGEST_WEIGHTS, plain_file, written_whole


def write_weights(file: Path, model: nn.Module, description: dict[str, Any]) -> None:
    """Writes a model's state, with a description as JSON under the metadata key `softshare`.

    Raises:
        UserError: The file cannot be written.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    # One entry: safetensors writes several in no fixed order, and the same run must leave the same bytes.
    content = save(state, metadata={"softshare": json.dumps(description)})
    with written_whole(file) as temporary:
        temporary.write_bytes(content)  # not by safetensors, whose error on a full disk is none of the system's


def load_weights(model: nn.Module, file: Path) -> nn.Module:
    """Loads a run's `model.safetensors` into a fresh model.

    Args:
        model: Of the architecture that was trained; its weights do not matter.
        file: What `write_weights` wrote.

    Returns:
        The model itself.

    Raises:
        UserError: No such file, a truncated one, or the weights of another model.
    """
    try:
        state = load_file(plain_file(file, LARGEST_WEIGHTS))
        model.load_state_dict(state)
    except (SafetensorError, OSError) as error:
        raise unreadable(file, error, absent="is the run complete?") from error
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise UserError(f"holds the weights of another model ({first})", file=file) from error
    return model


def unreadable(file: Path, error: SafetensorError | OSError, absent: str | None = None) -> UserError:
    """What to tell where weights cannot be read.

    Args:
        file: The file.
        error: What reading it came to.
        absent: What may help where there is no such file.

    Returns:
        An error of one line, to be raised.
    """
    if isinstance(error, FileNotFoundError):
        return UserError("no such file", file=file, remedy=absent)
    if isinstance(error, OSError):
        return UserError(f"cannot be read ({error.strerror or error})", file=file)
    return UserError(f"cannot be read ({error})", file=file, remedy="is it truncated?")
