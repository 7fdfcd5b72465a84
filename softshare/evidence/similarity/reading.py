"""Layer similarity matrices over the training of one run, from its `similarity.npz`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from softshare.errors import UserError
from softshare.files import LARGEST_ARRAYS, small_zip
from softshare.runfiles import SIMILARITY

_ROUNDING = 1e-3


@dataclass(frozen=True)
class Group:
    """Layers that share templates: their similarity at each stored epoch, 0 to 1.

    Attributes:
        name: Such as `stage1`.
        coefficients: Similarity of the coefficients, [epochs, layers, layers].
        weights: Similarity of the weights that they make, [epochs, layers, layers].
        chance: Mean and maximum to be expected of the coefficients' initialisation.
    """

    name: str
    coefficients: np.ndarray
    weights: np.ndarray
    chance: tuple[float, float]


@dataclass(frozen=True)
class Similarity:
    """What was stored of a run. No groups: the network shares nothing."""

    epochs: tuple[int, ...]
    groups: tuple[Group, ...]


def read_similarity(file: Path) -> Similarity:
    """Reads a run's `similarity.npz`; a file that is absent tells of a network that shares nothing.

    Raises:
        UserError: The file is damaged, or its arrays do not fit each other.
    """
    try:
        with np.load(small_zip(file, LARGEST_ARRAYS), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        epochs = tuple(int(epoch) for epoch in arrays["epochs"].ravel())
        names = [str(name) for name in arrays["groups"].ravel()]
        return Similarity(epochs, tuple(_group(name, len(epochs), arrays) for name in names))
    except FileNotFoundError:
        return Similarity((), ())
    except KeyError as error:
        raise UserError(f"array {error} is missing", file=file) from error
    except Exception as error:  # a damaged zip file fails in any way there is
        raise UserError(f"cannot be used ({error})", file=file, remedy="is it truncated?") from error


def read_coefficients(file: Path) -> dict[str, tuple[np.ndarray, tuple[int, ...]]]:
    """Of each group the coefficients themselves, [epochs, layers, templates], and the shape of one weight.

    Groups stored without the shape, as earlier versions did, are left out.

    Raises:
        UserError: The file is damaged.
    """
    similarity = read_similarity(file)
    found = {}
    with np.load(small_zip(file, LARGEST_ARRAYS), allow_pickle=False) as stored:
        for group in similarity.groups:
            if f"{group.name}/weight_shape" in stored.files:
                shape = tuple(int(size) for size in stored[f"{group.name}/weight_shape"].ravel())
                found[group.name] = (np.asarray(stored[f"{group.name}/coefficients"], dtype=np.float64), shape)
    return found


def read_unshared(file: Path) -> dict[str, np.ndarray]:
    """Of a network that shares nothing, how alike its layers' weights are at the end: for each group [L, L].

    Raises:
        UserError: The file is missing or damaged, or holds none, as of a network that shares and of earlier versions.
    """
    if not file.is_file():
        raise UserError("is missing", file=file)
    try:
        with np.load(small_zip(file, LARGEST_ARRAYS), allow_pickle=False) as stored:
            names = [str(name) for name in stored["unshared"].ravel()] if "unshared" in stored.files else []
            found = {name: np.asarray(stored[f"unshared/{name}"], dtype=np.float64) for name in names}
    except Exception as error:  # a damaged zip file fails in any way there is
        raise UserError(f"cannot be used ({error})", file=file, remedy="is it truncated?") from error
    if not found:
        raise UserError("holds no similarity of layers that share nothing", file=file)
    for name, matrix in found.items():
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
            raise UserError(f"cannot be used (unshared/{name} is {matrix.shape})", file=file)
        if not (np.isfinite(matrix).all() and matrix.min() >= -_ROUNDING and matrix.max() <= 1 + _ROUNDING):
            raise UserError(f"cannot be used (unshared/{name} is not within 0 and 1)", file=file)
    return {name: np.clip(matrix, 0, 1) for name, matrix in found.items()}


def describe_run(run: Path, epoch: int | None = None) -> str:
    """A run's layer similarity matrices at one epoch, in words and numbers; of a plain network those of its weights.

    Args:
        run: A run's folder.
        epoch: A stored epoch; the last by default, which alone is stored of a plain network.

    Raises:
        UserError: No such folder, nothing stored in it, a damaged file, or an epoch that was not stored.
    """
    file = run / SIMILARITY
    if not run.is_dir():
        raise UserError("no such folder", file=run)
    similarity = read_similarity(file)
    if not similarity.groups and epoch is None and file.is_file():
        plain = read_unshared(file).items()
        told = "\n".join(f"\n{name}, which share nothing: weights:\n{_rows(matrix)}" for name, matrix in plain)
        return f"after the last epoch\n{told}"
    if not similarity.groups:
        raise UserError("holds no similarity", file=run, remedy="does the network share, and is the run complete?")
    stored = similarity.epochs
    if epoch is not None and epoch not in stored:
        remedy = f"stored: {', '.join(map(str, stored))}"
        raise UserError("is not stored", file=file, key="epoch", value=epoch, remedy=remedy)
    index = len(stored) - 1 if epoch is None else stored.index(epoch)
    parts = [f"epoch {stored[index]}"]
    for group in similarity.groups:
        parts.append(f"\n{group.name}: chance level mean {group.chance[0]:.2f}, maximum {group.chance[1]:.2f}")
        for name, matrices in (("coefficients", group.coefficients), ("effective weights", group.weights)):
            parts += [f"{name}:", _rows(matrices[index])]
    return "\n".join(parts)


def _rows(matrix: np.ndarray) -> str:
    return "\n".join(f"  {' '.join(f'{value:.2f}' for value in row)}" for row in matrix)


def cosine_similarity(coefficients: np.ndarray) -> np.ndarray:
    """|cosine| between the layers' coefficients: [..., layers, templates] to [..., layers, layers].

    A vector of zeros has no direction and is similar to none, itself included.
    """
    vectors = np.asarray(coefficients, dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    units = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return np.clip(np.abs(units @ np.swapaxes(units, -1, -2)), 0.0, 1.0)


def _group(name: str, epochs: int, arrays: dict[str, Any]) -> Group:
    coefficients = np.asarray(arrays[f"{name}/coefficients"], dtype=np.float64)
    weights = np.asarray(arrays[f"{name}/weights"], dtype=np.float64)
    mean, maximum = (float(value) for value in arrays[f"{name}/chance"].ravel())
    if coefficients.ndim != 3 or not len(coefficients) == epochs > 0:
        raise ValueError(f"{name}/coefficients is {coefficients.shape} for {epochs} epochs")
    layers = coefficients.shape[1]
    if weights.shape != (epochs, layers, layers):
        raise ValueError(f"{name}/weights is {weights.shape} for {epochs} epochs and {layers} layers")
    if not all(np.isfinite(array).all() for array in (coefficients, weights, [mean, maximum])):
        raise ValueError(f"{name} holds NaN or infinity")
    if weights.min() < -_ROUNDING or weights.max() > 1 + _ROUNDING:
        raise ValueError(f"{name}/weights is not within 0 and 1")
    return Group(name, cosine_similarity(coefficients), np.clip(weights, 0, 1), (mean, maximum))
