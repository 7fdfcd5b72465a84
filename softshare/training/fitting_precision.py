"""What `auto` takes where runs lie already: the precision that they were trained in, for runs of two get no verdict."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from softshare.errors import UserError
from softshare.evidence.runs.precisions import precision_of
from softshare.files import read_json
from softshare.runfiles import CHECKPOINT, MANIFEST
from softshare.training.checkpoint import identity_of
from softshare.training.device import PRECISIONS, multiplies_in, resolve_precision


def fitting_precision(out: Path, dataset: str, device: torch.device) -> tuple[str, str]:
    """The precision of a run for which nobody named one.

    That which the run was begun in; else that of its other seeds, complete or in training; else that of complete runs
    on its dataset (`runs/<dataset>/<model>/<recipe>/seed<N>`), since verdicts hold them against each other; else the
    fastest. Runs that start at the same time do not see each other.

    Args:
        out: The run's folder; it need not exist.
        dataset: What it trains on.
        device: Where it computes.

    Returns:
        A resolved precision, and a line that says why it is not the fastest; empty where it is.

    Raises:
        UserError: The hardware does not multiply in what is there, or what lies in `out` cannot be read.
    """
    fastest = resolve_precision("auto", device)
    begun = _begun_in(out)
    found = {begun: out} if begun else _beside(out.absolute(), dataset)
    if not found or fastest in found:
        return fastest, ""
    for precision, folder in found.items():
        if multiplies_in(precision, device):
            return precision, f"precision: {precision}, not {fastest}: so is {folder}"
    precision, folder = next(iter(found.items()))
    other = "give it another --out" if begun else f"name a precision ({fastest}) to train all the same"
    raise UserError(
        f"is {fastest} on this hardware, and {folder} is in {precision}; runs of two precisions get no verdict",
        key="precision",
        value="auto",
        remedy=f"train where the hardware multiplies in {precision}, or {other}",
    )


def precision_as_trained(name: str, manifest: dict[str, Any], device: torch.device) -> str:
    """The precision in which a complete run is evaluated or folded; of `auto` its own, where the hardware has it.

    Args:
        name: As it was asked for.
        manifest: The run's.
        device: Where it is evaluated.

    Raises:
        UserError: As `resolve_precision`.
    """
    own = _precision_in(manifest) if name == "auto" else None
    return own if own and multiplies_in(own, device) else resolve_precision(name, device)


def _begun_in(out: Path) -> str | None:
    identity = identity_of(out / CHECKPOINT)
    if identity is None and (out / MANIFEST).is_file():
        manifest = read_json(out / MANIFEST)
        identity = manifest.get("identity") if isinstance(manifest, dict) else None
    return _precision_in(identity)


def _beside(out: Path, dataset: str) -> dict[str, Path]:
    """The precisions of the runs that this one will be held against, each with the first folder that has it."""
    if not re.fullmatch(r"seed\d+", out.name):
        return {}
    seeds = [each for each in sorted(out.parent.glob("seed*")) if each != out]
    found = _each_with_first(seeds, _trained_in) or _each_with_first(seeds, _training_in)
    if found or len(out.parents) < 4 or (out.parents[3].name, out.parents[2].name) != ("runs", dataset):
        return found
    return _each_with_first(sorted(out.parents[2].glob("*/*/seed*")), _trained_in)


def _each_with_first(folders: Iterable[Path], told_by: Callable[[Path], str | None]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in folders:
        try:
            precision = told_by(folder)
        except UserError:
            continue  # what is wrong there is said of that run, not of this one
        if precision:
            found.setdefault(precision, folder)
    return found


def _trained_in(folder: Path) -> str | None:
    return _precision_in({"precision": precision_of(folder)})


def _training_in(folder: Path) -> str | None:
    return _precision_in(identity_of(folder / CHECKPOINT))


def _precision_in(told: Any) -> str | None:
    """The precision of a manifest or of a run's identity, if it is one that is known."""
    precision = told.get("precision") if isinstance(told, dict) else None
    return precision if isinstance(precision, str) and precision in PRECISIONS else None
