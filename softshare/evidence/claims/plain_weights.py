"""The claim that layers of a plain CNN are like none of their stage (Figure 2, left)."""

from __future__ import annotations

import numpy as np

from softshare.errors import UserError
from softshare.evidence.claims.claim_runs import ClaimRuns
from softshare.evidence.claims.finding import Finding, UnansweredError, within
from softshare.evidence.claims.matrices import off_diagonal
from softshare.evidence.claims.reading import Claim
from softshare.evidence.similarity.reading import read_unshared
from softshare.evidence.verdict import Verdict
from softshare.evidence.wording import by_reason, number
from softshare.runfiles import SIMILARITY


def judge_none(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether no two layers of a stage are alike, in any seed: of those that would share (section 4.1)."""
    found, level = runs.of(claim.setting("setting")), claim.test["at_most"]
    largest, wrong = {}, {}
    for record in found.complete:
        file = runs.results / record.folder / SIMILARITY
        try:
            largest[str(record.run.seed)] = max(map(largest_pair, read_unshared(file).values()))
        except UserError as error:
            wrong[record.run.seed] = str(error).replace(f"{file.parent}/", "").replace(": ", " ", 1)
    if not largest:
        raise UnansweredError(
            Verdict.NOT_RUN, f"no weights compared of {found.cell.run}: {'; '.join(by_reason(wrong.items()))}"
        )
    runs.require_enough(found, len(largest), "tell how alike their weights are")
    most = max(largest.values())
    return Finding(
        verdict=within(most, level),
        sentence=f"the weights of no two layers of a stage of {found.cell.run} are alike by more than "
        f"{number(most, 3)} in any of {len(largest)} seeds",
        test="every pair of layers of every seed",
        n=len(largest),
        estimate=most,
        unit="similarity",
        bound=level,
        details={"largest_by_seed": largest},
        notes=(f"left out: {'; '.join(by_reason(wrong.items()))}",) if wrong else (),
    )


def largest_pair(matrix: np.ndarray) -> float:
    """Largest similarity of two different layers, of [L, L]."""
    return float(off_diagonal(matrix).max())
