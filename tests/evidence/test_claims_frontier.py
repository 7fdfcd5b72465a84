"""Claims on whole families of networks, and on errors in the first five guesses."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from softshare.evidence.claims.parameters import count_parameters
from softshare.scales import Run, Setting

Judge = Callable[..., Any]
Make = Callable[..., None]

SMALL, MIDDLE, LARGE = (f"cifar10/wrn-28-{width}/cifar-dropout" for width in (4, 10, 14))
HALF, SAME, HUGE = (f"cifar10/swrn-28-{name}/cifar-dropout" for name in ("10-2", "10", "18"))
PLAIN = {SMALL: [4.80, 4.91, 4.72], MIDDLE: [3.90, 3.97, 3.84, 3.93, 3.88], LARGE: [3.70, 3.79, 3.66]}
FRONTIER = {"kind": "frontier", "shared": [HALF, SAME], "plain": [SMALL, MIDDLE, LARGE]}


@pytest.fixture
def family(make: Make) -> None:
    for name, errors in PLAIN.items():
        make(name, errors)


def on_the_line() -> list[float]:
    """What plain networks as large as SWRN 28-10-2 err, by the seeds that both of their neighbours have."""
    sizes = [math.log(count_parameters(f"wrn-28-{width}", "cifar10")) for width in (4, 10)]
    share = (math.log(count_parameters("swrn-28-10-2", "cifar10")) - sizes[0]) / (sizes[1] - sizes[0])
    return [(1 - share) * low + share * high for low, high in zip(PLAIN[SMALL], PLAIN[MIDDLE][:3], strict=True)]


def wiggled(mean: float, n: int) -> list[float]:
    return [round(mean + each, 2) for each in (0.03, -0.02, 0.05, -0.04, -0.02)[:n]]


@pytest.mark.parametrize(
    ("half", "same", "verdict"),
    [
        (3.6, 3.7, "reproduced"),
        (4.0, 3.4, "reproduced"),
        (3.6, 3.9, "inconclusive"),
        (3.6, 4.3, "not reproduced"),
        (5.0, 3.6, "not reproduced"),
    ],
)
def test_the_network_that_is_least_surely_below_the_line_decides(
    half: float, same: float, verdict: str, family: None, make: Make, judge_claim: Judge
) -> None:
    halves, sames = wiggled(half, 3), wiggled(same, 5)
    make(HALF, halves)
    make(SAME, sames)
    found = judge_claim(FRONTIER).finding
    tests = {
        alternative: [
            stats.ttest_rel(halves, on_the_line(), alternative=alternative).pvalue,
            stats.ttest_rel(sames, PLAIN[MIDDLE], alternative=alternative).pvalue,
        ]
        for alternative in ("less", "greater")
    }
    assert found.verdict == verdict, found.sentence
    assert found.p == pytest.approx(max(tests["less"]))
    assert found.p_contrary == pytest.approx(min(1.0, 2 * min(tests["greater"])))
    if verdict == "not reproduced":
        decides = min((0, 1), key=tests["greater"].__getitem__)
    else:
        decides = max((0, 1), key=tests["less"].__getitem__)
    assert f" {('swrn-28-10-2', 'swrn-28-10')[decides]} beside " in found.sentence and found.n == 3
    differences = {HALF: np.mean(halves) - np.mean(on_the_line()), SAME: np.mean(sames) - np.mean(PLAIN[MIDDLE])}
    assert found.details["differences"] == pytest.approx(differences)
    assert found.details["p"] == pytest.approx(dict(zip((HALF, SAME), tests["less"], strict=True)))


def test_a_network_of_a_plain_one_s_size_is_held_against_that_one_alone(
    family: None, make: Make, judge_claim: Judge
) -> None:
    largest = {**FRONTIER, "shared": ["cifar10/swrn-28-14/cifar-dropout"]}  # a little larger than all plain ones
    make(largest["shared"][0], wiggled(3.4, 3))
    found = judge_claim(largest).finding
    assert found.verdict == "reproduced" and "swrn-28-14 beside wrn-28-14: difference" in found.sentence


def test_no_line_reaches_what_is_larger_than_all_plain_ones(family: None, make: Make, judge_claim: Judge) -> None:
    make(HUGE, wiggled(3.4, 3))
    found = judge_claim({**FRONTIER, "shared": [HUGE]}).finding
    assert found.verdict == "not comparable" and "118,119,750 parameters, out of reach of the line" in found.sentence


def test_a_line_needs_seeds_that_both_its_ends_have(make: Make, judge_claim: Judge) -> None:
    make(SMALL, {2: 4.8, 3: 4.9, 4: 4.7})
    make(MIDDLE, {0: 3.9, 1: 3.97, 2: 3.84})
    make(LARGE, PLAIN[LARGE])
    make(HALF, wiggled(3.6, 3))
    found = judge_claim({**FRONTIER, "shared": [HALF]}).finding
    assert found.verdict == "inconclusive" and "wrn-28-4 and wrn-28-10 share 1 seeds" in found.sentence


def test_the_test_that_decides_is_told_not_the_largest_difference(family: None, make: Make, judge_claim: Judge) -> None:
    """SWRN 28-10 is a little above, beyond doubt; SWRN 28-10-2 far above, by one wild seed."""
    make(SAME, [each + 0.1 + wiggle for each, wiggle in zip(PLAIN[MIDDLE], (0, 0.01, 0, -0.01, 0), strict=True)])
    make(HALF, [each + wiggle for each, wiggle in zip(on_the_line(), (2.0, 0.1, -0.2), strict=True)])
    found = judge_claim(FRONTIER).finding
    assert found.verdict == "not reproduced" and "most surely swrn-28-10 beside wrn-28-10:" in found.sentence
    assert found.estimate == pytest.approx(0.1) and found.interval is not None and found.interval[0] > 0
    assert found.details["differences"][HALF] > 0.5


def test_what_is_missing_or_mixed_is_told(family: None, make: Make, judge_claim: Judge) -> None:
    make(HALF, wiggled(3.6, 2))
    found = judge_claim(FRONTIER).finding
    assert found.verdict == "not run" and "swrn-28-10/cifar-dropout is not run" in found.sentence
    make(SAME, wiggled(3.6, 3))
    assert judge_claim(FRONTIER).finding.verdict == "inconclusive"
    make(HALF, wiggled(3.6, 3), manifest={"precision": "bf16"})
    found = judge_claim(FRONTIER).finding
    assert found.verdict == "mixed runs" and "mixes precisions" in found.sentence


def test_the_first_five_guesses_are_another_error(make_run: Callable[..., Path], judge_claim: Judge) -> None:
    """SWRN errs less at its first guess and more in its first five, with the same loss."""
    names = ("imagenet/swrn-50-2/imagenet", "imagenet/wrn-50-2/imagenet")
    first = ([21.70, 21.78, 21.74], [22.00, 22.08, 21.94])
    five = ([6.05, 6.11, 6.03], [5.95, 5.99, 5.94])
    for name, errors, others in zip(names, first, five, strict=True):
        setting = Setting(*name.split("/"))
        parameters = count_parameters(setting.model, setting.dataset)
        for seed, (error, top5) in enumerate(zip(errors, others, strict=True)):
            test = {"error": error, "top5_error": top5, "loss": 1.0, "images": 50000}
            make_run(Run(setting, seed), error, "paper", metrics={"parameters": parameters, "test": test})
    claim = {"kind": "direction", "lower": names[0], "higher": names[1]}
    found = judge_claim(claim).finding
    assert found.verdict == "reproduced" and "five" not in found.sentence
    found = judge_claim({**claim, "of": "top5_error"}).finding
    assert found.verdict == "not reproduced" and "in its first five guesses" in found.sentence
    assert found.p == pytest.approx(stats.ttest_rel(*five, alternative="less").pvalue)


def test_what_is_seen_of_too_few_is_what_the_claim_asks_for(make: Make, judge_claim: Judge) -> None:
    for name, errors in ((SAME, [4.0, 4.1]), (MIDDLE, [4.2, 4.3, 4.4])):
        make(name, errors)
    claim = {"kind": "direction", "lower": SAME, "higher": MIDDLE}
    assert "swrn-28-10/cifar-dropout errs 4.05 % (n = 2)" in judge_claim(claim).finding.notes[0]
    found = judge_claim({**claim, "of": "train_loss"}).finding
    assert "cifar10/swrn-28-10/cifar-dropout ends training with a loss of " in found.notes[0]
    assert "in its first five guesses" in judge_claim({**claim, "of": "top5_error"}).finding.notes[0]


def test_less_loss_in_training(make_run: Callable[..., Path], judge_claim: Judge) -> None:
    losses = {SAME: [0.0021, 0.0023, 0.0020], MIDDLE: [0.0031, 0.0032, 0.0029]}
    for name, each in losses.items():
        setting = Setting(*name.split("/"))
        parameters = count_parameters(setting.model, setting.dataset)
        for seed, loss in enumerate(each):
            metrics = {"parameters": parameters, "train_loss": loss}
            make_run(Run(setting, seed), 4.0 + seed / 10, "paper", metrics=metrics)
    found = judge_claim({"kind": "direction", "lower": SAME, "higher": MIDDLE, "of": "train_loss"}).finding
    assert found.verdict == "reproduced" and found.unit == "nats"
    assert found.sentence.startswith(
        "swrn-28-10 ends training with less loss than wrn-28-10: difference \N{MINUS SIGN}0.001 nats"
    )
    assert found.p == pytest.approx(stats.ttest_rel(*losses.values(), alternative="less").pvalue)
