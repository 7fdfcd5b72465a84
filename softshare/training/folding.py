"""Folds a trained network and writes what that costs at each threshold (sections 3.2, 4.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from softshare.errors import UserError
from softshare.files import require_writable, write_json, write_text
from softshare.models.folded import save_folded
from softshare.numbers import decimal_number
from softshare.runfiles import FOLDING, FOLDING_COSTS
from softshare.sharing import Folding, banks, find_folding, fold, layer_similarity
from softshare.sharing.convert import is_shared
from softshare.sharing.grouping import SameStageSameShape
from softshare.sharing.similarity import Measure
from softshare.training.device import use_precision
from softshare.training.fitting_precision import precision_as_trained
from softshare.training.folding_costs import Cost, Costs
from softshare.training.record import provenance
from softshare.training.trained import Trained

# A thousand thresholds show every change that there is; each is folded and evaluated.
_FINEST = 0.001


def parse_thresholds(text: str) -> list[float]:
    """Reads `0.8`, `0.7,0.8` or `0.5:1.0:0.05` (first, last, step).

    Raises:
        UserError: It is none of these, steps are below 0.001, or a threshold lies outside [0, 1].
    """
    try:
        if ":" in text:
            first, last, step = (decimal_number(part) for part in text.split(":"))
            if not (step > 0 and last >= first):
                raise ValueError
            _require_similarity(first, last)
            if step < _FINEST:
                raise UserError(f"steps from {_FINEST} are taken", key="thresholds", value=text)
            count = int(round((last - first) / step, 6)) + 1
            thresholds = [round(first + index * step, 10) for index in range(count)]
        else:
            thresholds = [decimal_number(part) for part in text.split(",")]
    except (ValueError, OverflowError):
        raise UserError(
            "is no threshold", key="thresholds", value=text, remedy="for instance 0.8, or 0.7,0.8, or 0.5:1.0:0.05"
        ) from None
    _require_similarity(*thresholds)
    return sorted(set(thresholds))


def fold_run(
    trained: Trained,
    out: Path,
    *,
    threshold: float = 0.8,
    thresholds: Sequence[float] = (),
    of: Measure = "coefficients",
    reestimate_on: int = 10_000,
    precision: str = "auto",
) -> tuple[Folding, list[Cost]]:
    """Folds a trained network at one threshold and writes what that, and other thresholds, cost.

    Writes to `out`: `folded.safetensors` (the network folded at `threshold`, see `load_folded`), `folding.csv` (a
    `Cost` a row, the first that of the network as it was trained) and, last, `folding.json` (loops and
    similarities, from which the drawings are made; what folding each stage alone costs; settings; versions).

    Args:
        trained: A complete run of a shared network.
        out: The folder to write to.
        threshold: Least similarity of layers that become one in the network that is kept.
        thresholds: Others to measure.
        of: What is compared, `coefficients` or `weights`.
        reestimate_on: Training images, augmented as in training, on which statistics of batch norm are estimated
            anew after folding; 0 leaves that out.
        precision: auto (that of the training, where the hardware multiplies in it), fp32, bf16; on a GPU also tf32,
            fp16.

    Returns:
        What was found at `threshold`, and the costs.

    Raises:
        UserError: The network shares nothing, the folder cannot be written, scores are no numbers, or the network
            has not the test error that its `metrics.json` tells.
    """
    name = trained.metrics["model"]
    if not banks(trained.model):
        raise UserError("shares no layers: nothing to fold", key="model", value=name, remedy="a run of a swrn-...")
    try:
        foldings = {each: find_folding(trained.model, each, of=of) for each in sorted({*thresholds, threshold})}
    except ValueError as error:
        raise UserError(str(error), key="model", value=name) from error
    require_writable(out)
    resolved = precision_as_trained(precision, trained.manifest, trained.device)
    costs = Costs(trained, use_precision(resolved, trained.device), reestimate_on)
    rows = [costs.unfolded(foldings[threshold].layers), *(costs.folded(each, of) for each in foldings)]
    stages = {stage: costs.of_stage(stage, foldings[threshold], threshold, of) for stage in foldings[threshold].loops}
    kept = fold(trained.model, threshold, of=of)
    save_folded(kept, out / "folded.safetensors", name, **trained.model_settings)
    write_text(out / FOLDING_COSTS.name, pd.DataFrame(map(asdict, rows)).to_csv(index=False, lineterminator="\n"))
    description = {
        "run": {key: trained.metrics[key] for key in ("dataset", "model", "recipe", "seed")},
        "of": of,
        "threshold": threshold,
        "test_images": trained.test_count,
        "reestimated_on": costs.reestimate_on,
        "precision": costs.precision,
        "similarity": {group: matrix.tolist() for group, matrix in layer_similarity(trained.model, of=of).items()},
        "own_layers": own_layers(trained.model),
        "foldings": [_described(each, folding) for each, folding in foldings.items()],
        "costs": [asdict(row) for row in rows],
        "stage_costs": {stage: asdict(cost) for stage, cost in stages.items()},
        **provenance(),
    }
    write_json(out / FOLDING.name, description)
    return foldings[threshold], rows


def _require_similarity(*thresholds: float) -> None:
    for threshold in thresholds:
        if not 0.0 <= threshold <= 1.0:
            raise UserError("lies outside [0, 1]", key="threshold", value=threshold, remedy="a similarity from 0 to 1")


def own_layers(model: nn.Module) -> dict[str, int]:
    """For each stage, its layers that share nothing though they have the kernel of those that do (Figure 4, left)."""
    stage_of = SameStageSameShape(model).stage
    layers = [(stage_of(name), layer) for name, layer in model.named_modules()]
    kernels = {(stage, getattr(layer, "kernel_size", ())) for stage, layer in layers if is_shared(layer)}
    own: Iterator[str] = (
        stage
        for stage, layer in layers
        if not is_shared(layer) and hasattr(layer, "kernel_size") and (stage, layer.kernel_size) in kernels
    )
    return dict(Counter(own))


def _described(threshold: float, folding: Folding) -> dict[str, Any]:
    return {
        "threshold": threshold,
        "layers": folding.layers,
        "distinct_layers": folding.distinct_layers,
        "stages": {stage: list(loops.sequence) for stage, loops in folding.loops.items()},
    }
