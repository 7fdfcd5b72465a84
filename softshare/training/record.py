"""What a run leaves beside its weights: history, layer similarity, the code that it ran with. One run, one folder."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

import softshare
from softshare.files import project_root, write_text, written_whole
from softshare.models.factory import paper_groups
from softshare.sharing import banks, chance_similarity, layer_similarity
from softshare.sharing.similarity import unshared_similarity
from softshare.training.code_digest import code_digest

_PACKAGES = ("torch", "torchvision", "numpy", "pillow", "scikit-learn", "safetensors")
# What a run follows from, as git's pathspecs. A log of the cluster, a changed page, a table of one's own or a machine's
# own settings (where its data lie) are none of it.
_COMPUTES = ("softshare", "config/recipes", "config/scales", ":(exclude)*.md")


class SimilarityRecord:
    """Coefficients and layer similarity at the epochs asked for; the content of `similarity.npz`.

    Arrays: `epochs` [E], `groups` [G] (names), and for each group `<group>/coefficients` [E, L, k],
    `<group>/weights` [E, L, L] (similarity of the effective weights), `<group>/chance` [2] (mean and maximum
    expected from the initialisation alone) and `<group>/weight_shape`. So foldings can be reckoned without the network.
    Of a network that shares nothing, at the end: `unshared` [G] (names) and `unshared/<group>` [L, L].
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Starts empty, or from what `state` gave."""
        self.epochs: list[int] = list(state["epochs"]) if state else []
        self.rows: dict[str, dict[str, list[Any]]] = dict(state["rows"]) if state else {}

    def state(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return {"epochs": self.epochs, "rows": self.rows}

    def add(self, model: nn.Module, epoch: int) -> None:
        """Stores a model's coefficients and similarities as those after `epoch`, counted from 1."""
        self.epochs.append(epoch)
        shared = banks(model)
        weights = layer_similarity(model, of="weights") if shared else {}
        for group, bank in shared.items():
            row = self.rows.setdefault(group, {"coefficients": [], "weights": []})
            row["weight_shape"] = list(bank.weight_shape)
            row["coefficients"].append(bank.coefficients.detach().float().cpu().tolist())
            row["weights"].append(weights[group].tolist())

    def save(self, path: Path, unshared: Mapping[str, Tensor] | None = None) -> None:
        """Writes the file; `unshared` is what `unshared_of` tells of a network that shares nothing."""
        arrays: dict[str, np.ndarray] = {
            "epochs": np.array(self.epochs),
            "groups": np.array(list(self.rows), str),
        }
        for group, row in self.rows.items():
            coefficients = np.array(row["coefficients"], np.float32)  # [E, L, k]
            arrays[f"{group}/coefficients"] = coefficients
            arrays[f"{group}/weights"] = np.array(row["weights"], np.float32)
            arrays[f"{group}/weight_shape"] = np.array(row["weight_shape"])
            arrays[f"{group}/chance"] = np.array(chance_similarity(*coefficients.shape[1:]))
        if unshared:
            arrays["unshared"] = np.array(list(unshared), str)
            arrays |= {f"unshared/{group}": matrix.numpy() for group, matrix in unshared.items()}
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)


def unshared_of(model: nn.Module, name: str) -> dict[str, Tensor]:
    """Similarity of the weights that would share were the network soft-shared; of one that is, nothing.

    Args:
        model: The network.
        name: Its name, such as `wrn-28-10`.
    """
    return {} if banks(model) else unshared_similarity(model, paper_groups(name))


def save_history(path: Path, history: list[dict[str, Any]]) -> None:
    """Writes one row an epoch."""
    write_text(path, pd.DataFrame(history).to_csv(index=False, lineterminator="\n"))


def provenance() -> dict[str, Any]:
    """The code and the software that run: commit, whether what computes differs from it, versions, command line."""
    # Its own from the package: in a rule's environment it is not installed, but found in the working directory.
    versions = {"python": platform.python_version(), "softshare": softshare.__version__}
    for package in _PACKAGES:
        versions[package] = importlib.metadata.version(package)
    status = _git("status", "--porcelain", "--", *_COMPUTES)
    return {
        "argv": [_program(), *map(_without_place, sys.argv[1:])],
        "commit": _git("rev-parse", "HEAD"),
        "dirty": None if status is None else bool(status),
        "code": code_digest(),
        "versions": versions,
        "platform": platform.platform(),
    }


def add_stretch(stretches: list[dict[str, Any]], first: int, told: dict[str, Any], device: str) -> list[dict[str, Any]]:
    """What trained a run, stretch by stretch: one that is resumed may go on with other code, or elsewhere.

    Args:
        stretches: Those before; empty for a run that begins.
        first: The epoch that is trained next, counted from 1.
        told: The code that trains it, as from `provenance`.
        device: The hardware, in words.

    Returns:
        The stretches before, and a further one unless code and hardware are those of the last.
    """
    code = {"torch": told["versions"]["torch"]} | {key: told[key] for key in ("commit", "dirty", "code")}
    code["device"] = device
    if stretches and {key: stretches[-1].get(key) for key in code} == code:
        return stretches
    return [*stretches, {"first_epoch": first, **code}]


def _program() -> str:
    """The command's name, without the folder that it happens to lie in."""
    name = Path(sys.argv[0]).name
    return "softshare" if name == "__main__.py" else name


def _without_place(word: str) -> str:
    """A word of the command; of an absolute path its name alone, for a manifest is published and a machine is not."""
    option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return option + equals + (Path(value).name if Path(value).is_absolute() else value)


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(project_root()), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
