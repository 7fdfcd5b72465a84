"""How many seeds a claim needs: those with which its test shows, in 80 % of cases, what is so (at the prior spread).

On shortest paths the paper tells no number: there seeds are told for a difference of 0.05 in F1, which is our own
choice, at the spread of pairs at the reduced size.

The tests are those of `reports/paper/claims.yaml`, at its level. What is taken to be so is what the paper's own numbers
say; networks are as noisy as the prior of the paper's table says; and runs of one seed are taken to be independent, for
no prior tells how alike they are: where they are alike, pairs need fewer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy import stats

from softshare.evidence.claims.reading import Claim, Claims, read_claims
from softshare.evidence.reported import PaperNumber, read_reported
from softshare.evidence.verdict import FEWEST_SEEDS
from softshare.plan import load_plan
from softshare.scales import Setting

POWER = 0.8
MOST_SEEDS = 100
F1_THAT_MATTERS = 0.05

_OF_NETWORKS_ALONE = ("parameters", "parameter-ratio", "similarity-start", "cost")
_WITHIN_A_BAND = ("value", "reduction")
_OF_FOLDINGS = ("folding", "folding-saves")


@dataclass(frozen=True)
class Need:
    """What a claim needs.

    Attributes:
        claim: Its id.
        kind: Of its test.
        settings: Of the paper, each of which is run with every seed.
        seeds: Of each setting; 0 where none are needed, None where no number of seeds is known to be enough.
        why: How that was found, or why it cannot be.
        device: On which alone they are to be trained, and as the paper trains; empty where any will do.
        folded: Whether each run is to be folded, too.
    """

    claim: str
    kind: str
    settings: tuple[Setting, ...]
    seeds: int | None
    why: str
    device: str = ""
    folded: bool = False


def seeds_needed() -> list[Need]:
    """What every claim needs, in the file's order.

    Raises:
        UserError: The claims or the tables that they name cannot be read.
    """
    claims = read_claims()
    numbers = paper_numbers()
    return [_need(claim, claims, numbers) for claim in claims.claims]


def paper_numbers() -> dict[Setting, PaperNumber]:
    """The paper's number for every setting that it tells one of; the first table's where several do."""
    plan = load_plan("paper")
    found: dict[Setting, PaperNumber] = {}
    for experiment in plan.of_kind("table"):
        table = read_reported(experiment)
        for cell in experiment.cells:
            number = table.number(cell.row, cell.paper.dataset)
            if number is not None:
                found.setdefault(cell.paper, number)
    return found


def power_of_less(effect: float, sd: float, n: int, alpha: float) -> float:
    """Power of a one-sided t-test that a mean of n is less than 0.

    Args:
        effect: The true mean, below 0 where the claim is so.
        sd: Of a value.
        n: Values, at least 2.
        alpha: Level of the test.
    """
    quantile, degrees = stats.t.ppf(alpha, n - 1), n - 1
    return float(stats.nct.cdf(quantile, degrees, effect / (sd / math.sqrt(n))))


def power_of_alike(difference: float, margin: float, sd: float, n: int, alpha: float) -> float:
    """Power of two one-sided t-tests (TOST) that a mean of n is within a margin of 0, after Phillips (1990).

    Args:
        difference: The true mean.
        margin: On either side.
        sd: Of a value.
        n: Values, at least 2.
        alpha: Level of each test.
    """
    error, degrees = sd / math.sqrt(n), n - 1
    quantile = stats.t.ppf(1 - alpha, degrees)
    below = stats.nct.cdf(-quantile, degrees, (difference - margin) / error)
    above = stats.nct.cdf(quantile, degrees, (difference + margin) / error)
    return max(0.0, float(below - above))


def _need(claim: Claim, claims: Claims, numbers: dict[Setting, PaperNumber]) -> Need:
    settings = claim.settings

    def told(seeds: int | None, why: str) -> Need:
        return Need(claim.id, claim.kind, settings, seeds, why, folded=claim.kind in _OF_FOLDINGS)

    if claim.kind == "waiting":
        return told(None, f"cannot be tested: {claim.test['reason']}")
    if claim.kind in _OF_NETWORKS_ALONE or not settings:
        return told(0, "no training is needed")
    if claim.kind == "training-time":
        device = claim.test["device"]
        why = (
            f"the fewest that give a verdict are {FEWEST_SEEDS}; only the paper's own training on a {device} answers it"
        )
        return Need(claim.id, claim.kind, settings, FEWEST_SEEDS, why, device)
    if claim.kind == "frontier":
        return told(None, "of the plain networks that the line goes through the paper prints WRN 28-10* alone")
    if claim.test.get("of", "error") != "error":
        why = f"no prior spread of it is known; the fewest that give a verdict are {FEWEST_SEEDS}"
        return told(FEWEST_SEEDS, why)
    if claim.kind in ("direction", "lowest", "no-worse", "alike", "below", "near"):
        return told(*_by_power(claim, claims, numbers))
    if claim.kind in _WITHIN_A_BAND:
        why = f"the band of chance holds a true reproduction in over 80 % of cases with any number from {FEWEST_SEEDS}"
        return told(FEWEST_SEEDS, why)
    if claim.kind in _OF_FOLDINGS:
        return told(FEWEST_SEEDS, f"tested on each run by itself; the fewest that give a verdict are {FEWEST_SEEDS}")
    if "sd_of_pairs" in claim.test:
        sd, least = claim.test["sd_of_pairs"], F1_THAT_MATTERS
        return told(*_search(lambda n: power_of_less(-least, sd, n, claims.alpha), True, least, sd, of="F1"))
    why = f"no prior spread of similarities is known; the fewest that give a verdict are {FEWEST_SEEDS}"
    return told(FEWEST_SEEDS, why)


def _by_power(claim: Claim, claims: Claims, numbers: dict[Setting, PaperNumber]) -> tuple[int | None, str]:
    """The seeds of a claim on errors, and how they were found."""
    found = [numbers.get(setting) for setting in claim.settings]
    sds = [number.prior_sd for number in found if number is not None]
    alpha = claims.alpha
    if claim.kind in ("below", "near"):
        number, table = found[0], claims.tables[claim.test["table"]]
        quoted = table.rows[claim.test["quoted_row"]].values[claim.settings[0].dataset]
        if number is None or quoted is None:
            return None, "the paper tells no number to reckon with"
        effect, sd = number.value - quoted, number.prior_sd
        if claim.kind == "near":
            margin = claim.test["margin"]
            return _search(
                lambda n: power_of_alike(effect, margin, sd, n, alpha), abs(effect) < margin, effect, sd, margin
            )
        return _search(lambda n: power_of_less(effect, sd, n, alpha), effect < 0, effect, sd)
    if not sds:
        return None, "the paper tells no number, and no prior spread is known"
    one, *others = found
    other = min((each for each in others if each), key=lambda each: each.value, default=None)
    sd = math.hypot(*(number.prior_sd if number else max(sds) for number in (one, other)))
    difference = round(one.value - other.value, 10) if one and other else None
    if claim.kind in ("direction", "lowest"):
        if difference is None:
            return None, "the paper tells no difference to reckon with"
        return _search(lambda n: power_of_less(difference, sd, n, alpha), difference < 0, difference, sd)
    margin = claims.tables[claim.test["margin_of"]].datasets[claim.settings[0].dataset].no_worse_margin
    assert margin is not None  # read_claims checks it
    true = difference or 0.0
    if claim.kind == "no-worse":
        return _search(lambda n: power_of_less(true - margin, sd, n, alpha), true < margin, true, sd, margin)
    return _search(lambda n: power_of_alike(true, margin, sd, n, alpha), abs(true) < margin, true, sd, margin)


def _search(
    power: Callable[[int], float],
    holds: bool,
    true: float,
    sd: float,
    margin: float | None = None,
    of: str = "points",
) -> tuple[int | None, str]:
    """The fewest seeds of which the power is enough."""
    beside = f" with a margin of {margin:g}" if margin is not None else ""
    given = f"a difference of {true:+.2f} {of}{beside}, sd {sd:.2f}"
    if not holds:
        return None, f"the paper's own numbers say otherwise: {given}"
    for n in range(FEWEST_SEEDS, MOST_SEEDS + 1):
        if power(n) >= POWER:
            return n, f"{power(n):.0%} power at {given}"
    return None, f"{MOST_SEEDS} seeds have {power(MOST_SEEDS):.0%} power at {given}"
