"""What a checkpoint must hold besides the run's identity; its digest tells only that nothing was altered since."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch


def check_state(found: dict[str, Any], all_epochs: int, optimizer: torch.optim.Optimizer) -> None:
    """Refuses what would crash later, train on as another run, or be taken for a run that is done.

    Weights are checked by torch where they are loaded.

    Args:
        found: The content of a checkpoint.
        all_epochs: Of the run.
        optimizer: As the run makes it.

    Raises:
        ValueError: Something does not fit.
        KeyError: Something is missing.
    """
    epoch, history = found["epoch"], found["history"]
    if type(epoch) is not int or not 0 <= epoch <= all_epochs:
        raise ValueError(f"epoch {epoch!r:.40}")
    if not isinstance(history, list) or len(history) != epoch:
        raise ValueError("the history tells of another number of epochs")
    for number, row in enumerate(history, 1):
        if not isinstance(row, dict) or row.get("epoch") != number or not all(map(_is_plain, row.values())):
            raise ValueError(f"row {number} of the history")
    for key in ("seconds", "wall_seconds"):
        if not _is_number(found[key]) or found[key] < 0:
            raise ValueError(key)
    if not isinstance(found["started"], str):
        raise ValueError("started")
    stretches = found["stretches"]
    if not isinstance(stretches, list) or not all(
        isinstance(each, dict) and all(map(_is_plain, each.values())) for each in stretches
    ):
        raise ValueError("stretches")
    _check_similarity(found["similarity"])
    _check_optimizer(found["optimizer"], optimizer)
    if not all(map(_is_plain, found["scaler"].values())):
        raise ValueError("scaler")


def _check_similarity(state: dict[str, Any]) -> None:
    epochs, rows = state["epochs"], state["rows"]
    if not all(type(epoch) is int for epoch in epochs):
        raise ValueError("epochs of the similarity")
    for group, row in rows.items():
        for key, axes in (("coefficients", 3), ("weights", 3), ("weight_shape", 1)):
            stored = np.asarray(row[key], float)  # a ValueError where rows are of several lengths
            if stored.ndim != axes or (axes > 1 and len(stored) != len(epochs)):
                raise ValueError(f"{key} of {group}")


def _check_optimizer(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """Its fused kernels look at no shape: a tensor of another would be read beyond its end."""
    fresh = optimizer.state_dict()["param_groups"]
    groups = state["param_groups"]
    if len(groups) != len(fresh):
        raise ValueError("the optimiser's groups")
    for found, wanted in zip(groups, fresh, strict=True):
        if found.keys() != wanted.keys() or not _is_number(found["lr"]):
            raise ValueError("the optimiser's settings")
        if {**found, "lr": None} != {**wanted, "lr": None}:
            raise ValueError("the optimiser's settings")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, entries in state["state"].items():
        for name, value in entries.items():
            whole = isinstance(value, torch.Tensor) and value.shape == parameters[number].shape
            step = name == "step" and isinstance(value, torch.Tensor) and value.shape == ()
            if not (step or (whole and value.is_floating_point()) or _is_plain(value)):
                raise ValueError(f"the optimiser's {name}")


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
