"""Claims on folding: what `softshare fold` measured on the test images of each run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from softshare.errors import UserError
from softshare.evidence.claims.claim_runs import ClaimRuns
from softshare.evidence.claims.finding import Finding, UnansweredError, chance
from softshare.evidence.claims.matrices import starts
from softshare.evidence.claims.reading import Claim
from softshare.evidence.claims.similarities import templates_of
from softshare.evidence.foldings.reading import FoldedAt, read_folding_of
from softshare.evidence.runs.gather import CellEvidence
from softshare.evidence.runs.runfolder import Record
from softshare.evidence.statistics import change_interval
from softshare.evidence.verdict import Verdict
from softshare.evidence.wording import by_reason, number
from softshare.names import parse_model_name
from softshare.runfiles import FOLDING
from softshare.sharing.clusters import cluster_layers

_STARTS = 1000
_ROUNDING = 1e-9  # errors count whole images: a rise of two of 10,000 is 0.02 points, which floats may miss


@dataclass(frozen=True)
class Folded:
    """One run, folded at the claim's threshold.

    Attributes:
        increase: Of the test error, in percentage points.
        interval: Its 95 % interval over the test images, which both networks saw.
        p: McNemar's.
        before: Layers that the claim counts.
        after: Those that are left.
        parameters: Of the network, before and after.
    """

    increase: float
    interval: tuple[float, float]
    p: float
    before: int
    after: int
    parameters: tuple[int, int]


def judge_folding(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether a network folds as far as the paper tells and as cheaply.

    What a claim says of a stage is held against that stage folded alone. The paper shows one network, so most of the
    seeds are asked: a seed agrees where no more layers are left and the error rises by no more than told; it
    contradicts where more are left, or where the rise is more by its 95 % interval over the test images; otherwise it
    cannot tell. "Close" is a typical network that saves half as much, at no more than twice the cost. With fewer
    templates than layers a stage folds at its start already, by chance: more seeds must agree than such starts would,
    and for "close" more must save half as much.
    """
    test, setting = claim.test, claim.setting("setting")
    found = runs.of(setting)
    seeds, notes = _seeds(found, claim, runs)
    bound = test["increase"] + _ROUNDING
    folds = {seed: _asked_for(test, each.before) for seed, each in seeds.items()}
    share = next(folds[seed] / each.before for seed, each in seeds.items())
    if "layers" in test:
        share = test["layers"]["to"] / test["layers"]["of"]
    agree = sum(each.increase <= bound and each.after <= folds[seed] for seed, each in seeds.items())
    contradict = sum(each.interval[0] > bound or each.after > folds[seed] for seed, each in seeds.items())
    increase = float(np.median([each.increase for each in seeds.values()]))
    left = float(np.median([each.after / each.before for each in seeds.values()]))
    where = f"{test['stage']}: " if "stage" in test else "" if "layers" in test else "in the stage of most: "
    before = next(iter(seeds.values())).before
    layers = ", ".join(str(each.after) for each in seeds.values())
    told = f"{where}{layers} of {before} layers left, error {number(increase)} points higher at the median"
    ps = [each.p for each in seeds.values()]
    close = increase <= 2 * bound and left <= (1 + share) / 2
    at_start = p = None
    if "stage" in test:
        at_start = _at_start(found, test["threshold"], next(iter(folds.values())))
        p = _more_than_starts(agree, len(seeds), at_start)
        halfway = math.floor(before * (1 + share) / 2 + 1e-9)
        saved = sum(each.after <= halfway for each in seeds.values())
        by_chance = _at_start(found, test["threshold"], halfway)
        close = close and _more_than_starts(saved, len(seeds), by_chance) < runs.alpha
        told += f"; so few layers are left of {100 * at_start:.0f} % of untrained stages, {chance(p)}"
        at_best = _more_than_starts(len(seeds), len(seeds), at_start)
        if at_best >= runs.alpha:
            reason = f"if all {len(seeds)} seeds agreed, starts would do so by {chance(at_best)}"
            notes = (*notes, f"too few seeds to be reproduced: {reason}")
    most = 2 * agree > len(seeds)  # the claim's other half
    verdict = _verdict(agree, contradict, len(seeds), close)
    if verdict is Verdict.REPRODUCED and p is not None and p >= runs.alpha:
        verdict = Verdict.INCONCLUSIVE
    return Finding(
        verdict=verdict,
        sentence=f"folded at {test['threshold']:g}, {agree} of {len(seeds)} seeds agree: {told}; "
        f"McNemar's {chance(min(ps))} at the least",
        test="each network before and after on the same test images; most of the seeds decide"
        + ("" if p is None else ", if more than of orthogonal starts (binomial)"),
        n=len(seeds),
        estimate=increase,
        unit="percentage points",
        interval=None,
        bound=test["increase"],
        p=p if p is None or most else 1.0,
        details={
            "p_of_agreeing": p,
            "by_seed": {
                str(seed): {
                    "increase": each.increase,
                    "interval": list(each.interval),
                    "mcnemar_p": each.p,
                    "layers": each.before,
                    "layers_left": each.after,
                    "layers_at_most": folds[seed],
                }
                for seed, each in seeds.items()
            },
        },
        notes=notes,
    )


def judge_folding_saves(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether folding leaves fewer parameters, by a share of them: most of the seeds decide.

    "Close" is a typical network that saves half as much.
    """
    test, setting = claim.test, claim.setting("setting")
    found = runs.of(setting)
    seeds, notes = _seeds(found, claim, runs)
    least = test["less_by"]
    saved = {seed: 1.0 - each.parameters[1] / each.parameters[0] for seed, each in seeds.items()}
    agree = sum(share >= least for share in saved.values())
    typical = float(np.median(list(saved.values())))
    before, after = next(iter(seeds.values())).parameters
    return Finding(
        verdict=_verdict(agree, len(seeds) - agree, len(seeds), close=typical >= least / 2),
        sentence=f"folded at {test['threshold']:g}, {agree} of {len(seeds)} seeds save {100 * least:g} % of parameters "
        f"or more; {100 * typical:.2g} % at the median, in the first {before - after:,} of {before:,}",
        test="parameters of each network before and after; most of the seeds decide",
        n=len(seeds),
        estimate=100 * typical,
        unit="percent of the parameters",
        bound=100 * least,
        details={"saved_by_seed": {str(seed): share for seed, share in saved.items()}},
        notes=notes,
    )


def _asked_for(test: dict[str, Any], before: int) -> int:
    """How many layers may be left."""
    if "layers" not in test:
        return int(test["each_stage_to"])
    return math.ceil(before * test["layers"]["to"] / test["layers"]["of"] - _ROUNDING)


def _seeds(found: CellEvidence, claim: Claim, runs: ClaimRuns) -> tuple[dict[int, Folded], tuple[str, ...]]:
    """Every complete run, folded at the claim's threshold, by its seed; and a note on those that are not.

    Raises:
        UnansweredError: None is, or too few are.
    """
    seeds, wrong = {}, {}
    for record in found.complete:
        try:
            seeds[record.run.seed] = _folded(record, claim, runs)
        except UserError as error:
            wrong[record.run.seed] = str(error).replace(f"{runs.results / record.folder}/", "")
    if not seeds:
        raise UnansweredError(Verdict.NOT_RUN, f"{found.cell.run} is not folded: {'; '.join(by_reason(wrong.items()))}")
    runs.require_enough(found, len(seeds), f"are folded at {claim.test['threshold']:g}")
    return seeds, (f"left out: {'; '.join(by_reason(wrong.items()))}",) if wrong else ()


def _at_start(found: CellEvidence, threshold: float, at_most: int) -> float:
    """The share of orthogonal starts of a stage that fold to so many layers or fewer; of a sample, so never 0."""
    assert found.cell.run is not None
    layers = parse_model_name(found.cell.run.model).layers
    matrices = starts(layers, min(templates_of(found), layers))[:_STARTS]
    folded = sum(len(set(cluster_layers(each, threshold))) <= at_most for each in matrices)
    return (1 + folded) / (1 + len(matrices))


def _more_than_starts(seeds: int, of: int, at_start: float) -> float:
    """How often so many of some starts would do what each does with a probability."""
    return float(stats.binom.sf(seeds - 1, of, at_start))


def _verdict(agree: int, contradict: int, seeds: int, close: bool) -> Verdict:
    if 2 * agree > seeds:
        return Verdict.REPRODUCED
    if 2 * contradict > seeds:
        return Verdict.CLOSE if close else Verdict.NOT_REPRODUCED
    return Verdict.INCONCLUSIVE


def _folded(record: Record, claim: Claim, runs: ClaimRuns) -> Folded:
    """Reads a run's `folding.json` at the claim's threshold.

    Raises:
        UserError: It is missing or damaged, is not of the run, does not compare coefficients, or was not measured at
            that threshold.
    """
    file, threshold = runs.results / record.folder / FOLDING, claim.test["threshold"]
    folded = read_folding_of(record, file)
    if folded.of != "coefficients":
        told = "the paper compares coefficients"
        raise UserError(told, file=file, key="of", value=folded.of, remedy="softshare fold --of coefficients")
    try:
        at = next(each for each in folded.foldings if math.isclose(each.threshold, threshold))
    except StopIteration:
        remedy = f"softshare fold --threshold {threshold:g}"
        raise UserError("was not measured", file=file, key="threshold", value=threshold, remedy=remedy) from None
    stage = claim.test.get("stage")
    if stage is not None and stage not in at.stages:
        raise UserError(f"is no result of folding {stage}", file=file, key="stages")
    cost = next(row for row in folded.costs if row["threshold"] == at.threshold)
    if stage is not None:
        if stage not in folded.stage_costs or at.threshold != folded.threshold:
            remedy = f"softshare fold --threshold {threshold:g}"
            raise UserError("was not measured alone", file=file, key="stage", value=stage, remedy=remedy)
        cost = folded.stage_costs[stage]
    (unfolded,) = (row for row in folded.costs if row["threshold"] is None)
    before, after = _layers(at, claim.test)
    return Folded(
        increase=cost["error_after"] - cost["error_before"],
        interval=change_interval(cost["only_before"], cost["only_after"], folded.test_images),
        p=float(cost["p"]),
        before=before,
        after=after,
        parameters=(unfolded["parameters"], cost["parameters"]),
    )


def _layers(folding: FoldedAt, test: dict[str, Any]) -> tuple[int, int]:
    """Layers before and after: of the network as the paper counts, or the shared ones of a stage, of that with most."""
    if "stage" in test:
        loops = folding.stages[test["stage"]]
    elif "each_stage_to" in test:
        loops = max(folding.stages.values(), key=lambda each: len(each.distinct))
    else:
        return folding.layers, folding.distinct_layers
    return len(loops.sequence), len(loops.distinct)
