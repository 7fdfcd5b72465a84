"""All claims of the paper, judged by the runs of a scale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from softshare.evidence.claims import (
    comparisons,
    costs,
    folds,
    frontier,
    parameters,
    paths,
    plain_weights,
    settling,
    similarities,
    values,
)
from softshare.evidence.claims.claim_runs import ClaimRuns, find_claim_runs
from softshare.evidence.claims.finding import Finding, UnansweredError
from softshare.evidence.claims.reading import Claim, Claims, read_claims
from softshare.evidence.statistics import holm
from softshare.evidence.verdict import Verdict
from softshare.plan import Plan

# Those that a claim can get, as a reader wants them counted.
VERDICTS = (
    Verdict.REPRODUCED,
    Verdict.CLOSE,
    Verdict.NOT_REPRODUCED,
    Verdict.INCONCLUSIVE,
    Verdict.NOT_COMPARABLE,
    Verdict.MIXED,
    Verdict.NOT_RUN,
)


@dataclass(frozen=True)
class JudgedClaim:
    """A claim and what was found of it.

    Attributes:
        claim: The claim.
        finding: What was found.
        exploratory: Whether it was drawn up when these runs were known: it is neither counted nor adjusted for.
        p_holm: Its p adjusted for the number of claims tested; the verdict rests on the plain one.
        p_contrary_holm: The same of the contrary.
        runs: What was run for each of its settings, in plain values.
    """

    claim: Claim
    finding: Finding
    exploratory: bool
    p_holm: float | None
    p_contrary_holm: float | None
    runs: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Judged:
    """All claims.

    Attributes:
        scale: Name of the scale.
        is_paper: Whether the scale is the paper's.
        claims: The file that was read.
        judged: Each claim, in the file's order.
    """

    scale: str
    is_paper: bool
    claims: Claims
    judged: tuple[JudgedClaim, ...]

    @property
    def confirmatory(self) -> tuple[JudgedClaim, ...]:
        """Those that were drawn up before their runs."""
        return tuple(each for each in self.judged if not each.exploratory)

    @property
    def counts(self) -> dict[str, int]:
        """How many claims got each verdict; exploratory ones are not counted."""
        counted = Counter(each.finding.verdict for each in self.confirmatory)
        return {str(verdict): counted[verdict] for verdict in VERDICTS}

    @property
    def tested(self) -> int:
        """How many claims were tested with a p; exploratory ones are not counted."""
        return sum(each.finding.p is not None for each in self.confirmatory)


def judge_claims(plan: Plan, results: Path, bench: Path | None = None, root: Path | None = None) -> Judged:
    """Holds every claim of `reports/paper/claims.yaml` against the runs that are there.

    Args:
        plan: What was to be run.
        results: `results/<scale>`.
        bench: Folder that holds `bench.csv`; `bench` beside the scale's results by default.
        root: Folder that holds `config/` and `reports/`; the project's by default.

    Raises:
        UserError: The claims cannot be read, or name what is not there.
    """
    claims = read_claims(root)
    runs = find_claim_runs(claims, plan, results, bench or results.parent / "bench", root)
    findings = [_found(claim, runs) for claim in claims.claims]
    exploratory = [plan.scale.name in claim.exploratory_at for claim in claims.claims]
    for_them, against = (
        _adjusted([None if known else getattr(each, key) for known, each in zip(exploratory, findings, strict=True)])
        for key in ("p", "p_contrary")
    )
    judged = tuple(
        JudgedClaim(claim, finding, known, p, p_contrary, tuple(map(runs.describe, claim.settings)))
        for claim, finding, known, p, p_contrary in zip(
            claims.claims, findings, exploratory, for_them, against, strict=True
        )
    )
    return Judged(plan.scale.name, plan.scale.is_paper, claims, judged)


def _adjusted(ps: Sequence[float | None]) -> list[float | None]:
    """Each p after Holm, for as many as there are."""
    adjusted = iter(holm([p for p in ps if p is not None]))
    return [None if p is None else next(adjusted) for p in ps]


def _found(claim: Claim, runs: ClaimRuns) -> Finding:
    try:
        finding = _JUDGES[claim.kind](claim, runs)
    except UnansweredError as error:
        seen = runs.seen(claim.settings, claim.test.get("of", "error")) if error.verdict is Verdict.INCONCLUSIVE else ()
        finding = Finding(error.verdict, error.reason, notes=seen)
    notes = [*finding.notes, *runs.notes(claim.settings)]
    if claim.unplanned and finding.verdict is Verdict.NOT_RUN:
        notes.append(claim.unplanned)
    # Without the folder: the same runs lead to the same words wherever they lie.
    sentence, *notes = (text.replace(f"{runs.results}/", "") for text in (finding.sentence, *notes))
    at = finding.at or f"scale {runs.scale.name}"
    return replace(finding, sentence=sentence, at=at, notes=tuple(dict.fromkeys(notes)))


def _judge_waiting(claim: Claim, runs: ClaimRuns) -> Finding:
    raise UnansweredError(Verdict.NOT_RUN, claim.test["reason"])


_JUDGES: dict[str, Callable[[Claim, ClaimRuns], Finding]] = {
    "direction": comparisons.judge_direction,
    "lowest": comparisons.judge_lowest,
    "frontier": frontier.judge_frontier,
    "no-worse": comparisons.judge_no_worse,
    "alike": comparisons.judge_alike,
    "value": values.judge_value,
    "reduction": values.judge_reduction,
    "below": values.judge_below,
    "near": values.judge_near,
    "parameters": parameters.judge_parameters,
    "parameter-ratio": parameters.judge_parameter_ratio,
    "folding": folds.judge_folding,
    "folding-saves": folds.judge_folding_saves,
    "similarity-none": plain_weights.judge_none,
    "similarity-all-one": similarities.judge_all_one,
    "similarity-near-one": similarities.judge_near_one,
    "similarity-chessboard": similarities.judge_chessboard,
    "similarity-differs": similarities.judge_differs,
    "similarity-recurs": similarities.judge_recurs,
    "similarity-settled": settling.judge_settled,
    "similarity-higher": similarities.judge_higher,
    "similarity-start": similarities.judge_start,
    "cost": costs.judge_cost,
    "training-time": costs.judge_training_time,
    "paths-f1": paths.judge_f1,
    "paths-extrapolation": paths.judge_extrapolation,
    "paths-made-one": paths.judge_made_one,
    "waiting": _judge_waiting,
}
