"""Test error of a folded network beside that of the one it was made from, on the same images (section 4.3)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tabulate import tabulate
from torch import nn
from torch.optim.swa_utils import update_bn

from softshare.errors import UserError
from softshare.evidence.mcnemar import mcnemar
from softshare.evidence.runs.checks import UnusableError, check_number, same_error
from softshare.runfiles import METRICS
from softshare.sharing import Folding, TiedBank, banks, fold, tie
from softshare.sharing.grouping import SameStageSameShape
from softshare.sharing.similarity import Measure
from softshare.training.device import autocast
from softshare.training.evaluation import mistakes
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


def describe_stage_costs(costs: Mapping[str, Mapping[str, Any]]) -> str:
    """What each stage folded alone costs, a line each."""
    return "\n".join(f"{stage} alone: {_described(cost)}" for stage, cost in costs.items())


def _described(cost: Mapping[str, Any]) -> str:
    line = f"{cost['error_before']:.2f} to {cost['error_after']:.2f} % error, p = {cost['p']:.3g}"
    if cost["error_reestimated"] is None:
        return line
    return f"{line}; statistics anew {cost['error_reestimated']:.2f} %, p = {cost['p_reestimated']:.3g}"


class Costs:
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
            self.known[clusters] = self._measured(threshold, layers, network)  # type: ignore[arg-type]
        return replace(self.known[clusters], threshold=threshold)

    def of_stage(self, stage: str, folding: Folding, threshold: float, of: Measure) -> Cost:
        """The network with the layers of one stage alone tied at a threshold."""
        network = copy.deepcopy(self.trained.model)
        stage_of = SameStageSameShape(network).stage
        groups = [
            group for group, bank in banks(network).items() if {stage_of(layer) for layer in bank.layers} == {stage}
        ]
        loops = folding.loops[stage]
        layers = folding.layers - len(loops.sequence) + len(loops.distinct)
        return self._measured(threshold, layers, tie(network, threshold, of=of, groups=groups))

    def _measured(self, threshold: float, layers: int, network: nn.Module) -> Cost:
        """With the statistics that training left, then with those estimated anew, which the network keeps."""
        cost = self._cost(threshold, layers, network, mistakes(network, self.test, self.precision))
        if self.before_reestimated is None:
            return cost
        anew = self._mistakes_reestimated(network)
        p = mcnemar(self.before_reestimated, anew).p
        return replace(cost, error_reestimated=_percent(anew), p_reestimated=p)

    def _cost(self, threshold: float | None, layers: int, network: nn.Module, wrong: np.ndarray) -> Cost:
        parameters = sum(parameter.numel() for parameter in network.parameters())
        against = mcnemar(self.before, wrong)
        return Cost(
            threshold=threshold,
            layers=layers,
            parameters=parameters,
            error_before=_percent(self.before),
            error_after=_percent(wrong),
            only_before=against.only_before,
            only_after=against.only_after,
            p=against.p,
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
        raise UserError(str(problem), file=METRICS) from problem
    if not same_error(float(told), error, images):  # type: ignore[arg-type]
        remedy = f"on these images the weights, in this precision, have {error:.2f} %"
        raise UserError("is not the network's test error", file=METRICS, key="test.error", value=told, remedy=remedy)


def _percent(wrong: np.ndarray) -> float:
    return 100.0 * float(np.mean(wrong))
