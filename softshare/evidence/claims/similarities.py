"""Claims on layer similarity matrices (Figures 2, 4, 7 and 8): the coefficients', as the paper defines them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from softshare.evidence.claims.claim_runs import ClaimRuns, Stored
from softshare.evidence.claims.comparisons import names_of, tested
from softshare.evidence.claims.finding import Finding, UnansweredError, chance, span
from softshare.evidence.claims.matrices import (
    Matrices,
    against_order,
    chessboard,
    correlation_between_seeds,
    off_diagonal,
    p_of_largest,
    starts,
)
from softshare.evidence.claims.reading import Claim
from softshare.evidence.runs.gather import CellEvidence
from softshare.evidence.statistics import compare, summary_of
from softshare.evidence.verdict import FEWEST_SEEDS, Verdict
from softshare.evidence.wording import number
from softshare.names import parse_model_name
from softshare.sharing.clusters import cluster_layers

BY_ORDER = "permutation of the layers' order"


def judge_all_one(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether all layers of each group are alike, in every seed."""
    found, stored = runs.similarities(claim.setting("setting"))
    least = {
        seed: min(float(off_diagonal(each).min()) for each in groups) for seed, groups in final_matrices(stored).items()
    }
    level = claim.test["at_least"]
    held = sum(value >= level for value in least.values())
    return Finding(
        verdict=_of_seeds(held, len(least)),
        sentence=f"all layers of {found.cell.run} are alike to {level:g} or more in {held} of {len(least)} seeds; "
        f"the least similarity is {number(min(least.values()), 3)}",
        test="every pair of layers of every seed",
        n=len(least),
        estimate=min(least.values()),
        unit="similarity",
        bound=level,
        details={"least_by_seed": plain(least)},
    )


def judge_near_one(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether in every seed some pair of layers is alike, and more so than by chance of the start.

    A seed agrees where both hold, contradicts where no pair is alike, and otherwise cannot tell. The claim is one of
    all seeds, so its p is the largest of theirs (intersection-union test), and 1 where one has no pair alike.
    """
    found, stored = runs.similarities(claim.setting("setting"))
    level, templates, final = claim.test["at_least"], templates_of(found), final_matrices(stored)
    largest = {seed: max(float(off_diagonal(each).max()) for each in groups) for seed, groups in final.items()}
    pairs = {seed: sum(int((off_diagonal(each) >= level).sum()) for each in groups) for seed, groups in final.items()}
    of_all = sum(len(off_diagonal(each)) for each in next(iter(final.values())))
    by_chance = {seed: p_of_largest(groups, templates) for seed, groups in final.items()}
    held = sum(pairs[seed] > 0 and by_chance[seed] < runs.alpha for seed in pairs)
    verdict = _of_seeds(held, len(pairs))
    if verdict is Verdict.NOT_REPRODUCED and 2 * sum(count == 0 for count in pairs.values()) < len(pairs):
        verdict = Verdict.INCONCLUSIVE
    most = max(by_chance.values())
    return Finding(
        verdict=verdict,
        sentence=f"in {held} of {len(pairs)} seeds of {found.cell.run} some layers are alike to {level:g} or more, and "
        f"more so than by chance ({min(pairs.values())} to {max(pairs.values())} of {of_all} pairs a seed); among "
        f"starts {chance(most)} at most",
        test="every seed against simulated orthogonal starts",
        n=len(pairs),
        estimate=float(np.mean(list(pairs.values()))),
        unit=f"pairs of {of_all}",
        bound=1.0,
        p=most if all(pairs.values()) else 1.0,
        details={"pairs_by_seed": plain(pairs), "largest_by_seed": plain(largest), "p_by_seed": plain(by_chance)},
    )


def judge_chessboard(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether layers are more like the one two further than like those one and three further, and any as good as one.

    The paper tells where hard sharing happens: where most seeds have no pair of layers so alike, a pattern is told, and
    is not the claim.
    """
    found, stored = runs.similarities(claim.setting("setting"))
    level, final = claim.test["at_least"], final_matrices(stored)
    _require_layers(found, final, 4)
    difference, p = against_order(final)
    by_weights, p_by_weights = against_order(final_matrices(stored, "weights"))
    by_seed = {seed: float(np.mean([chessboard(each) for each in groups])) for seed, groups in final.items()}
    interval = seeds_interval(list(by_seed.values()))
    hard = sum(any(bool((off_diagonal(each) >= level).any()) for each in groups) for groups in final.values())
    most = 2 * hard > len(final)  # the claim's other half
    verdict = Verdict.REPRODUCED if p < runs.alpha and most else Verdict.INCONCLUSIVE
    if p >= runs.alpha and interval is not None and interval[1] < 0:
        verdict = Verdict.NOT_REPRODUCED
    said = "more" if difference > 0 else "no more"
    return Finding(
        verdict=verdict,
        sentence=f"layers of {found.cell.run} are {said} like the one two further than like those one and three "
        f"further: by {number(difference)} in similarity ({span(interval)} over seeds), {chance(p)} among orders of "
        f"the layers; in {hard} of {len(final)} seeds any are alike to {level:g} or more",
        test=f"{BY_ORDER}; most of the seeds decide whether any layers are as good as one",
        n=len(by_seed),
        estimate=difference,
        unit="similarity",
        interval=interval,
        bound=0.0,
        p=p if most else 1.0,
        details={
            "p_of_pattern": p,
            "by_seed": plain(by_seed),
            "of_effective_weights": {"estimate": by_weights, "p": p_by_weights},
        },
    )


def judge_differs(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether no two seeds fold the same layers into one; seeds of which neither folds any tell nothing."""
    found, stored = runs.similarities(claim.setting("setting"))
    threshold, final = claim.test["threshold"], final_matrices(stored)
    folded = {seed: [cluster_layers(each, threshold) for each in groups] for seed, groups in final.items()}
    folds = {seed for seed, groups in folded.items() if any(len(set(each)) < len(each) for each in groups)}
    pairs = [pair for pair in itertools.combinations(folded, 2) if folds.intersection(pair)]
    if len(pairs) < FEWEST_SEEDS:
        what = f"{len(folds)} of {len(folded)} seeds of {found.cell.run} fold any layers at {threshold:g}"
        raise UnansweredError(Verdict.INCONCLUSIVE, f"{what}: in too few pairs is there a folding that could differ")
    differ = sum(folded[one] != folded[other] for one, other in pairs)
    apart = [np.abs(all_entries(final[one]) - all_entries(final[other])).mean() for one, other in pairs]
    return Finding(
        verdict=_of_seeds(differ, len(pairs)),
        sentence=f"{differ} of {len(pairs)} pairs of seeds of {found.cell.run}, of which one or both fold any layers, "
        f"fold other ones at {threshold:g}; "
        f"their matrices differ by {number(float(np.mean(apart)))} an entry on average",
        test=f"the layers that are one at a threshold of {threshold:g}, every pair of seeds",
        n=len(folded),
        estimate=differ / len(pairs),
        unit="share of pairs of seeds",
        bound=1.0,
        details={"mean_absolute_difference": float(np.mean(apart))},
    )


def judge_recurs(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether the matrices of different seeds correlate, beyond chance and to a level.

    "Close" is half the level. As much of a correlation as 97.5 of 100 orders of the layers stay below may be chance:
    where it falls short of half the level by more than that, the claim is not reproduced.
    """
    found, stored = runs.similarities(claim.setting("setting"))
    level = claim.test["at_least"]
    correlation, p, by_chance = correlation_between_seeds(final_matrices(stored))
    if correlation is None or p is None or by_chance is None:
        raise UnansweredError(Verdict.INCONCLUSIVE, f"all layers of {found.cell.run} are equally alike: no structure")
    by_weights, p_by_weights, _ = correlation_between_seeds(final_matrices(stored, "weights"))
    verdict = Verdict.INCONCLUSIVE
    if p < runs.alpha and correlation >= level / 2:
        verdict = Verdict.REPRODUCED if correlation >= level else Verdict.CLOSE
    elif correlation + by_chance < level / 2:
        verdict = Verdict.NOT_REPRODUCED
    return Finding(
        verdict=verdict,
        sentence=f"matrices of different seeds of {found.cell.run} correlate by {number(correlation)} (asked for: "
        f"{level:g}), {chance(p)} among orders of the layers",
        test=f"{BY_ORDER}, and the level",
        n=len(stored),
        estimate=correlation,
        unit="correlation",
        bound=level,
        p=p if correlation >= level else 1.0,
        details={"p_of_any": p, "of_effective_weights": {"estimate": by_weights, "p": p_by_weights}},
    )


def judge_higher(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether the layers of one setting are more alike on average than those of another."""
    lower, higher = runs.pair(claim, "lower", "higher")
    more, less = (
        {seed: float(all_entries(groups).mean()) for seed, groups in final_matrices(stored).items()}
        for _, stored in (runs.similarities(claim.setting(key)) for key in ("higher", "lower"))
    )
    found = compare(more, less, FEWEST_SEEDS)
    one, other = names_of(higher, lower)
    said = {
        Verdict.REPRODUCED: f"layers of {one} are more alike than those of {other}",
        Verdict.NOT_REPRODUCED: f"layers of {one} are less alike than those of {other}",
        Verdict.INCONCLUSIVE: f"whether layers of {one} are more alike than those of {other} cannot be told",
    }
    at_start = [_at_start(cell)[0] for cell in (higher, lower)]
    by = f"by {number(found.difference)} ({span(found.interval)}; {found.how})"
    return tested(
        found,
        (found.p_more(), found.p_less()),
        runs.alpha,
        lambda verdict, p: f"{said[verdict]}: {by}, one-sided {p}; at the start by {number(at_start[0] - at_start[1])}",
        test="one-sided t-test of the mean similarity, " + found.how,
        unit="similarity",
        bound=0.0,
    )


def judge_start(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether an orthogonal start has a layer similarity matrix that is the identity."""
    model, level = claim.test["model"], claim.test["at_most"]
    mean, largest = _start_of(model)
    return Finding(
        verdict=Verdict.REPRODUCED if largest <= level else Verdict.NOT_REPRODUCED,
        sentence=f"at an orthogonal start the layers of {model} have a mean similarity of {number(mean)} and a "
        f"largest of {number(largest)} on average",
        test="simulated starts",
        estimate=largest,
        unit="similarity",
        bound=level,
        at="simulated starts",
    )


def final_matrices(stored: Stored, of: str = "coefficients") -> Matrices:
    """The last stored matrices, a matrix a group, by seed."""
    return {seed: [getattr(group, of)[-1] for group in groups] for seed, (_, groups) in stored.items()}


def all_entries(groups: Sequence[np.ndarray]) -> np.ndarray:
    """The similarities of all pairs of layers of all groups."""
    return np.concatenate([off_diagonal(each) for each in groups])


def templates_of(found: CellEvidence) -> int:
    """K of the network that was run; one a layer where none is told."""
    assert found.cell.run is not None
    return parse_model_name(found.cell.run.model).templates or 10**6


def _at_start(found: CellEvidence) -> tuple[float, float]:
    assert found.cell.run is not None
    return _start_of(found.cell.run.model)


def _start_of(model: str) -> tuple[float, float]:
    """Mean similarity of two layers of a group at an orthogonal start, and the expected largest."""
    name = parse_model_name(model)
    entries = off_diagonal(starts(name.layers, min(name.templates or name.layers, name.layers)))
    return float(entries.mean()), float(entries.max(axis=-1).mean())


def _require_layers(found: CellEvidence, seeds: Matrices, fewest: int) -> None:
    if min(len(each) for groups in seeds.values() for each in groups) < fewest:
        raise UnansweredError(Verdict.NOT_COMPARABLE, f"{found.cell.run} has groups of fewer than {fewest} layers")


def _of_seeds(held: int, all_: int) -> Verdict:
    """A claim of all: in all, in most, or in no more than half."""
    if held == all_:
        return Verdict.REPRODUCED
    return Verdict.CLOSE if 2 * held > all_ else Verdict.NOT_REPRODUCED


def seeds_interval(values: list[float]) -> tuple[float, float] | None:
    """95 % t interval of the mean over seeds; None below two."""
    return summary_of(values).interval


def plain(by_seed: Mapping[int, float]) -> dict[str, float]:
    """Values by seed, as JSON has them."""
    return {str(seed): value for seed, value in by_seed.items()}
