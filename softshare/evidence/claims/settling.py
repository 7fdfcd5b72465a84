"""Claims on when layer similarity takes its final form (Figure 8)."""

from __future__ import annotations

import numpy as np

from softshare.evidence.claims.claim_runs import ClaimRuns, Stored
from softshare.evidence.claims.finding import Finding, chance, span
from softshare.evidence.claims.matrices import Matrices, correlation_with_final, p_of_largest
from softshare.evidence.claims.reading import Claim
from softshare.evidence.claims.similarities import (
    BY_ORDER,
    all_entries,
    final_matrices,
    plain,
    seeds_interval,
    templates_of,
)
from softshare.evidence.runs.gather import CellEvidence
from softshare.evidence.verdict import Verdict
from softshare.evidence.wording import number
from softshare.recipes import stored_epoch


def judge_settled(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether the matrices after a fraction of the training correlate with the final ones, to a level.

    Asked of the seeds whose final matrices show hard sharing beyond a start's, as `judge_near_one` tells it: with fewer
    templates than layers a start has a pattern of its own, and where nothing moved it correlates with itself. Matrices
    of one training are more alike than chance from early on, so the level decides: "close" is at most
    twice as far from 1 as asked for and at least half the level, "not reproduced" is below that and, by the 95 %
    interval over seeds, below the level. A correlation does not see how alike layers are by then: a claim may also ask
    how far the entries are from the final ones on average, in absolute value ("close" up to twice that).
    """
    found, stored = runs.similarities(claim.setting("setting"))
    templates = templates_of(found)
    shows = {
        seed: groups for seed, groups in final_matrices(stored).items() if p_of_largest(groups, templates) < runs.alpha
    }
    runs.require_enough(found, len(shows), "end with layers more alike than a start's, without which nothing settles")
    level, last = claim.test["at_least"], _epochs(found)
    epoch = stored_epoch(claim.test["after"], last)
    early = _at_epoch({seed: stored[seed] for seed in shows}, epoch) if epoch != last else {}
    what = f"hold the similarity after epoch {epoch} of {last}"
    runs.require_enough(found, len(early), what)
    by_seed, p = correlation_with_final(early, shows)
    runs.require_enough(found, len(by_seed), f"{what}, with any structure in it")
    assert p is not None
    mean, interval = float(np.mean(list(by_seed.values()))), seeds_interval(list(by_seed.values()))
    apart = {seed: float(np.abs(all_entries(early[seed]) - all_entries(shows[seed])).mean()) for seed in by_seed}
    at_most, far = claim.test.get("apart_at_most", 1.0), float(np.mean(list(apart.values())))
    holds = mean >= level and far <= at_most
    near = mean >= max(1 - 2 * (1 - level), level / 2) and far <= 2 * at_most
    if p < runs.alpha and near:
        verdict = Verdict.REPRODUCED if holds else Verdict.CLOSE
    else:
        far_interval = seeds_interval(list(apart.values()))
        below = interval is not None and interval[1] < level
        beyond = far_interval is not None and far_interval[0] > at_most
        verdict = Verdict.NOT_REPRODUCED if not near and (below or beyond) else Verdict.INCONCLUSIVE
    first = min(min(epochs) for epochs, _ in stored.values())
    at_first = correlation_with_final(_at_epoch({seed: stored[seed] for seed in by_seed}, first), shows)[0]
    return Finding(
        verdict=verdict,
        sentence=f"after epoch {epoch} of {last} the matrices of {found.cell.run} correlate with the final ones by "
        f"{number(mean)} ({span(interval)}; asked for: {level:g}), {chance(p)} among orders of the layers"
        + (f"; after epoch {first} by {number(float(np.mean(list(at_first.values()))))}" if at_first else "")
        + f"; entries are {number(far)} from the final ones on average"
        + (f" (asked for: {at_most:g} at most)" if "apart_at_most" in claim.test else ""),
        test=f"{BY_ORDER}, and the level",
        n=len(by_seed),
        estimate=mean,
        unit="correlation",
        interval=interval,
        bound=level,
        p=p if holds else 1.0,
        details={
            "p_of_any": p,
            "by_seed": plain(by_seed),
            "apart_by_seed": plain(apart),
            "epoch": epoch,
            "of_epochs": last,
            "first_stored_epoch": first,
            "by_seed_at_first_stored_epoch": plain(at_first),
        },
    )


def _at_epoch(stored: Stored, epoch: int) -> Matrices:
    """The matrices of coefficients after an epoch, of the runs that stored it."""
    return {
        seed: [group.coefficients[epochs.index(epoch)] for group in groups]
        for seed, (epochs, groups) in stored.items()
        if epoch in epochs
    }


def _epochs(found: CellEvidence) -> int:
    return max(found.values("epochs"))
