"""What folding costs a trained network: test error at each threshold, on the same images (sections 3.2, 4.3)."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate
from torch import nn
from torch.optim.swa_utils import update_bn

from softshare.errors import UserError
from softshare.evidence.checks import UnusableError, check_number, same_error
from softshare.evidence.paired import mcnemar
from softshare.files import require_writable, write_json, write_text
from softshare.models.folded import save_folded
from softshare.numbers import decimal_number
from softshare.sharing import Folding, TiedBank, banks, find_folding, fold, layer_similarity, tie
from softshare.sharing.convert import is_shared
from softshare.sharing.grouping import SameStageSameShape
from softshare.sharing.similarity import Measure
from softshare.training.device import autocast, use_precision
from softshare.training.evaluation import mistakes
from softshare.training.record import provenance
from softshare.training.trained import Trained


@dataclass(frozen=True)
class Cost:
    """What folding at one threshold costs; errors in percent on the test images.

    Attributes:
        threshold: Least similarity of layers that became one; None: the network as it was trained.
        layers: Layers that are left, counted as the paper counts.
        parameters: Parameters that are left.
        error_before: Test error of the network as it was trained.
        error_after: Test error after folding, with the statistics of batch norm that training left.
        only_before: Images that only the network as it was trained gets wrong.
        only_after: Images that only the folded one gets wrong.
        p: McNemar's exact p of these two counts.
        error_reestimated: Test error with statistics estimated anew; None where that was not asked for.
        p_reestimated: McNemar's exact p of it against the network as it was trained with statistics estimated anew;
            None for that network itself.
    """

    threshold: float | None
    layers: int
    parameters: int
    error_before: float
    error_after: float
    only_before: int
    only_after: int
    p: float
    error_reestimated: float | None
    p_reestimated: float | None


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
        precision: auto, fp32, bf16; on a GPU also tf32, fp16.

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
    costs = _Costs(trained, use_precision(precision, trained.device), reestimate_on)
    rows = [costs.unfolded(foldings[threshold].layers), *(costs.folded(each, of) for each in foldings)]
    stages = {stage: costs.of_stage(stage, foldings[threshold], threshold, of) for stage in foldings[threshold].loops}
    kept = fold(trained.model, threshold, of=of)
    save_folded(kept, out / "folded.safetensors", name, **trained.model_settings)
    write_text(out / "folding.csv", pd.DataFrame(map(asdict, rows)).to_csv(index=False, lineterminator="\n"))
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
    write_json(out / "folding.json", description)
    return foldings[threshold], rows


def _require_similarity(*thresholds: float) -> None:
    for threshold in thresholds:
        if not 0.0 <= threshold <= 1.0:
            raise UserError("lies outside [0, 1]", key="threshold", value=threshold, remedy="a similarity from 0 to 1")


def describe_costs(costs: Sequence[Cost]) -> str:
    """The costs as a table: a row a threshold, the first that of the network as it was trained."""
    rows = [
        {
            "threshold": "not folded" if cost.threshold is None else f"{cost.threshold:g}",
            "layers": cost.layers,
            "parameters": f"{cost.parameters:,}",
            "error before (%)": f"{cost.error_before:.2f}",
            "after (%)": f"{cost.error_after:.2f}",
            "p": f"{cost.p:.3g}",
            "statistics anew (%)": "" if cost.error_reestimated is None else f"{cost.error_reestimated:.2f}",
            "p anew": "" if cost.p_reestimated is None else f"{cost.p_reestimated:.3g}",
        }
        for cost in costs
    ]
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)


class _Costs:
    """Measures networks against the one that was trained; once where thresholds give the same clusters."""

    def __init__(self, trained: Trained, precision: str, reestimate_on: int) -> None:
        self.trained, self.precision = trained, precision
        self.reestimate_on = min(reestimate_on, trained.training_count)
        self.test = trained.test_loader()
        self.before = mistakes(trained.model, self.test, precision)
        _require_told(trained.metrics, _percent(self.before), len(self.before))
        self.before_reestimated: np.ndarray | None = None
        self.known: dict[tuple[Any, ...], Cost] = {}

    def unfolded(self, layers: int) -> Cost:
        """The network as it was trained: what estimating statistics anew does by itself."""
        network = copy.deepcopy(self.trained.model)
        cost = self._cost(None, layers, network, self.before)
        if not self.reestimate_on:
            return cost
        self.before_reestimated = self._mistakes_reestimated(network)
        return replace(cost, error_reestimated=_percent(self.before_reestimated))

    def folded(self, threshold: float, of: Measure) -> Cost:
        """The network folded at a threshold."""
        network = fold(self.trained.model, threshold, of=of)
        clusters = tuple(bank.clusters for bank in banks(network).values() if isinstance(bank, TiedBank))
        if clusters not in self.known:
            layers = network.folding.distinct_layers  # type: ignore[union-attr]
            wrong = mistakes(network, self.test, self.precision)
            cost = self._cost(threshold, layers, network, wrong)  # type: ignore[arg-type]
            if self.before_reestimated is not None:
                anew = self._mistakes_reestimated(network)
                p = mcnemar(self.before_reestimated, anew).p
                cost = replace(cost, error_reestimated=_percent(anew), p_reestimated=p)
            self.known[clusters] = cost
        return replace(self.known[clusters], threshold=threshold)

    def of_stage(self, stage: str, folding: Folding, threshold: float, of: Measure) -> Cost:
        """The network with the layers of one stage alone tied at a threshold; statistics are not estimated anew."""
        network = copy.deepcopy(self.trained.model)
        stage_of = SameStageSameShape(network).stage
        groups = [
            group for group, bank in banks(network).items() if {stage_of(layer) for layer in bank.layers} == {stage}
        ]
        loops = folding.loops[stage]
        layers = folding.layers - len(loops.sequence) + len(loops.distinct)
        wrong = mistakes(tie(network, threshold, of=of, groups=groups), self.test, self.precision)
        return self._cost(threshold, layers, network, wrong)

    def _cost(self, threshold: float | None, layers: int, network: nn.Module, wrong: np.ndarray) -> Cost:
        parameters = sum(parameter.numel() for parameter in network.parameters())
        paired = mcnemar(self.before, wrong)
        return Cost(
            threshold=threshold,
            layers=layers,
            parameters=parameters,
            error_before=_percent(self.before),
            error_after=_percent(wrong),
            only_before=paired.only_before,
            only_after=paired.only_after,
            p=paired.p,
            error_reestimated=None,
            p_reestimated=None,
        )

    def _mistakes_reestimated(self, network: nn.Module) -> np.ndarray:
        """Mistakes once the statistics of batch norm are those of the network as it now is; it keeps them."""
        images = (batch for batch, _ in self.trained.training_loader(self.reestimate_on).epoch(0))
        with autocast(self.trained.device, self.precision):
            update_bn(images, network)
        return mistakes(network, self.test, self.precision)


def _require_told(metrics: dict[str, Any], error: float, images: int) -> None:
    """Refuses a network that is not the one whose test error the run tells: its folding would be of no run."""
    test = metrics.get("test")
    told = test.get("error") if isinstance(test, dict) else None
    try:
        check_number(told, "test.error", low=0, high=100)
    except UnusableError as problem:
        raise UserError(str(problem), file="metrics.json") from problem
    if not same_error(float(told), error, images):  # type: ignore[arg-type]
        remedy = f"on these images the weights, in this precision, have {error:.2f} %"
        raise UserError(
            "is not the network's test error", file="metrics.json", key="test.error", value=told, remedy=remedy
        )


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


def _percent(wrong: np.ndarray) -> float:
    return 100.0 * float(np.mean(wrong))
