"""Claims on shortest paths (section 4.4, Figure 5): F1 over parts of the curriculum, extrapolation, layers made one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from softshare.evidence.claims.claim_runs import ClaimRuns
from softshare.evidence.claims.comparisons import names_of, tested
from softshare.evidence.claims.finding import Finding, UnansweredError, span
from softshare.evidence.claims.matrices import off_diagonal
from softshare.evidence.claims.reading import Claim
from softshare.evidence.claims.similarities import plain
from softshare.evidence.paths.runs import scores_of, seeds_on_other_examples
from softshare.evidence.paths.scores import PathScores
from softshare.evidence.runs.checks import UnusableError
from softshare.evidence.runs.gather import CellEvidence
from softshare.evidence.statistics import compare
from softshare.evidence.verdict import FEWEST_SEEDS, Verdict
from softshare.evidence.wording import in_words, number, signed

UNIT = "F1"


def judge_f1(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether one setting's F1 is higher than another's over a part of some phases: the area under the curve there."""
    phases, part = tuple(claim.test["phases"]), tuple(claim.test["part"])
    what = part_in_words(phases, part)

    def value(scores: PathScores) -> float:
        if max(phases) > len(scores.windows):
            reason = f"scale {runs.scale.name} has {len(scores.windows)} phases: none is phase {max(phases)}"
            raise UnansweredError(Verdict.NOT_COMPARABLE, reason)
        return scores.mean_f1(phases, part)

    return _compared(claim, runs, value, f"mean F1 over {what}")


def judge_extrapolation(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether one setting's F1 is higher than another's on phases that were not trained yet."""
    return _compared(claim, runs, lambda scores: scores.ahead, "mean F1 on phases not trained yet")


def judge_made_one(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether all layers are alike from early in phase 1 to the end, in every seed.

    "Close" is alike at the end in every seed, but not throughout.
    """
    found, stored = runs.similarities(claim.setting("setting"))
    level = claim.test["at_least"]
    least = {  # by seed, at each stored epoch
        seed: np.min([off_diagonal(group.coefficients).min(axis=-1) for group in groups], axis=0)
        for seed, (_, groups) in stored.items()
    }
    throughout = sum(bool((each >= level).all()) for each in least.values())
    at_the_end = sum(bool(each[-1] >= level) for each in least.values())
    first = sorted({epochs[0] for epochs, _ in stored.values()})
    lowest = min(float(each.min()) for each in least.values())
    if throughout == len(least):
        verdict = Verdict.REPRODUCED
    else:
        verdict = Verdict.CLOSE if at_the_end == len(least) else Verdict.NOT_REPRODUCED
    return Finding(
        verdict=verdict,
        sentence=f"all layers of {found.cell.run} are alike to {level:g} or more from epoch "
        f"{', '.join(map(str, first))} on in {throughout} of {len(least)} seeds, and at the end in {at_the_end}; the "
        f"least similarity stored is {number(lowest, 3)}",
        test="every pair of layers at every stored epoch of every seed",
        n=len(least),
        estimate=lowest,
        unit="similarity",
        bound=level,
        details={"least_by_seed": {str(seed): [float(value) for value in each] for seed, each in least.items()}},
    )


def part_in_words(phases: tuple[int, ...], part: tuple[float, float]) -> str:
    """Such as `all epochs of phase 1`, `the first fifth of each of phases 2 to 5`."""
    start, end = part
    share = {0.5: "half", 0.25: "quarter", 0.2: "fifth", 0.1: "tenth"}.get(round(end - start, 3))
    if len(phases) > 2 and phases == tuple(range(phases[0], phases[-1] + 1)):
        which = f"{phases[0]} to {phases[-1]}"
    else:
        which = in_words(map(str, phases))
    named = f"phase {which}" if len(phases) == 1 else f"phases {which}"
    if part == (0, 1):
        return f"all epochs of {named}"
    of = named if len(phases) == 1 else f"each of {named}"
    if share and start == 0:
        return f"the first {share} of {of}"
    return f"the last {share} of {of}" if share and end == 1 else f"the part from {start:g} to {end:g} of {of}"


def _compared(claim: Claim, runs: ClaimRuns, value: Callable[[PathScores], float], what: str) -> Finding:
    higher, lower = runs.pair(claim, "higher", "lower")
    _require_same_examples(higher, lower)
    ours, base = (_by_seed(found, runs, value) for found in (higher, lower))
    found = compare(ours, base, FEWEST_SEEDS)
    one, other = names_of(higher, lower)
    said = {
        Verdict.REPRODUCED: f"{one} is above {other}",
        Verdict.NOT_REPRODUCED: f"{one} is below {other}, not above",
        Verdict.INCONCLUSIVE: f"whether {one} is above {other} cannot be told",
    }
    gap = f"the first less the second is {signed(found.difference, 3)} ({span(found.interval, 3)}; {found.how})"
    return tested(
        found,
        (found.p_more(), found.p_less()),
        runs.alpha,
        lambda verdict, p: f"{what}: {said[verdict]}; {gap}, one-sided {p}",
        test=f"one-sided t-test of {what}, {found.how}",
        unit=UNIT,
        bound=0.0,
        details={"higher_by_seed": plain(ours), "lower_by_seed": plain(base)},
    )


def _by_seed(found: CellEvidence, runs: ClaimRuns, value: Callable[[PathScores], float]) -> dict[int, float]:
    try:
        return {record.run.seed: value(scores_of(record, runs.results)) for record in found.complete}
    except UnusableError as error:  # it changed since it was looked through
        raise UnansweredError(Verdict.INCONCLUSIVE, f"a run of {found.cell.run} cannot be read: {error}") from error


def _require_same_examples(one: CellEvidence, other: CellEvidence) -> None:
    """Refuses to pair runs of one seed that were not trained and tested on the same examples."""
    if differing := seeds_on_other_examples(one, other):
        seeds = ", ".join(map(str, differing))
        reason = f"{one.cell.run} and {other.cell.run} saw other examples: seed {seeds}"
        raise UnansweredError(Verdict.NOT_COMPARABLE, reason)
