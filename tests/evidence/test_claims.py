"""Claims on errors, numbers and parameters: run folders with known answers lead to each of the six verdicts."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from softshare.evidence.claims.costs import _Row
from softshare.evidence.claims.finding import decided
from softshare.evidence.claims.parameters import count_parameters
from softshare.evidence.verdict import Verdict, band_half_width
from softshare.models import create_model
from softshare.scales import Run, Setting, load_scale

Judge = Callable[..., Any]
Make = Callable[..., None]

SWRN, WRN, ONE = "cifar10/swrn-28-10/cifar", "cifar10/wrn-28-10/cifar", "cifar10/swrn-28-10-1/cifar"
WIDE, CUT = "cifar10/swrn-28-18-2/cifar-dropout", "cifar10/swrn-28-10-2/cifar-cutout-dropout"

DIRECTION = {"kind": "direction", "lower": SWRN, "higher": WRN}
NO_WORSE = {"kind": "no-worse", "ours": ONE, "than": WRN, "margin_of": "table1"}
ALIKE = {"kind": "alike", "one": ONE, "other": WRN, "margin_of": "table1"}
VALUE = {"kind": "value", "setting": WIDE, "table": "table2", "row": "SWRN 28-18-2*"}
LOWEST = {"kind": "lowest", "setting": SWRN, "others": [WRN, ONE]}
NEAR = {
    "kind": "near", "setting": CUT, "table": "table4", "row": "SWRN 28-10-2", "quoted_row": "DARTS", "margin": 0.3,
}  # fmt: skip
BELOW = {"kind": "below", "setting": CUT, "table": "table4", "row": "SWRN 28-10-2", "quoted_row": "DARTS"}
ROWS = {"table": "table1", "lower_row": "SWRN 28-10", "higher_row": "WRN 28-10"}
REDUCTION = {"kind": "reduction", "lower": SWRN, "higher": WRN, "percent": 6.5, **ROWS}
TIME = {"kind": "training-time", "setting": CUT, "hours": 10, "device": "GTX 1080 Ti"}

LOW, HIGH = [3.74, 3.80, 3.70, 3.77, 3.69], [4.00, 4.08, 3.93, 4.05, 3.91]


def test_less_is_shown_seed_by_seed(make: Make, judge_claim: Judge) -> None:
    make(SWRN, LOW)
    make(WRN, HIGH)
    judged = judge_claim(DIRECTION)
    found = judged.finding
    wanted = stats.ttest_rel(LOW, HIGH, alternative="less")
    assert found.verdict == "reproduced" and found.at == "scale paper" and found.n == 5
    assert found.p == pytest.approx(wanted.pvalue) and judged.p_holm == pytest.approx(found.p)
    assert found.interval == pytest.approx(tuple(stats.ttest_rel(LOW, HIGH).confidence_interval(0.95)))
    assert found.estimate == pytest.approx(np.mean(LOW) - np.mean(HIGH))
    assert "swrn-28-10 errs less than wrn-28-10" in found.sentence and "paired over 5 seeds" in found.sentence
    assert [run["seeds"] for run in judged.runs] == [[0, 1, 2, 3, 4]] * 2
    assert judged.runs[0]["manifests"][0] == "runs/cifar10/swrn-28-10/cifar/seed0/manifest.json"
    assert judged.runs[0]["mean_error"] == pytest.approx(np.mean(LOW)) and judged.runs[0]["n_planned"] == 5


def test_other_seeds_are_held_against_each_other_by_welch(make: Make, judge_claim: Judge) -> None:
    make(SWRN, {0: 3.74, 1: 3.80, 2: 3.70})
    make(WRN, {2: 4.00, 3: 4.08, 4: 3.93})
    found = judge_claim(DIRECTION).finding
    wanted = stats.ttest_ind([3.74, 3.80, 3.70], [4.00, 4.08, 3.93], equal_var=False, alternative="less")
    assert found.p == pytest.approx(wanted.pvalue) and "Welch" in found.test and found.n == 3


@pytest.mark.parametrize(
    ("lower", "higher", "verdict"),
    [
        (HIGH, LOW, "not reproduced"),
        ([3.74, 4.10, 3.70, 3.97, 3.69], [3.84, 3.90, 3.80, 3.77, 3.99], "inconclusive"),
        (LOW[:2], HIGH, "inconclusive"),
        ([3.7] * 5, [4.0] * 5, "inconclusive"),  # no spread at all is no certainty
        ([], HIGH, "not run"),
        (LOW, [], "not run"),
        (LOW[:1], [], "not run"),
    ],
)
def test_a_direction_that_is_not_shown(
    lower: list[float], higher: list[float], verdict: str, make: Make, judge_claim: Judge
) -> None:
    make(SWRN, lower)
    make(WRN, higher)
    found = judge_claim(DIRECTION).finding
    assert found.verdict == verdict and found.sentence


def test_at_another_scale_a_direction_is_tested_there_and_says_so(make: Make, judge_claim: Judge) -> None:
    make(SWRN, [8.1, 8.2, 8.0], "compact")
    make(WRN, [8.6, 8.8, 8.55], "compact")
    judged = judge_claim(DIRECTION, "compact")
    assert judged.finding.verdict == "reproduced" and judged.finding.at == "scale compact"
    assert judged.runs[0]["paper"] == SWRN and judged.runs[0]["run"] == "cifar10/swrn-28-1/cifar"
    assert "swrn-28-1 errs less than wrn-28-1" in judged.finding.sentence


def test_what_was_known_before_is_exploratory_where_it_was(make: Make, judge_claim: Judge) -> None:
    for scale, low, high in (("compact", [8.1, 8.2, 8.0], [8.6, 8.8, 8.55]), ("paper", LOW, HIGH)):
        make(SWRN, low, scale)
        make(WRN, high, scale)
        judged = judge_claim(DIRECTION, scale, exploratory_at=["compact"])
        assert judged.finding.verdict == "reproduced" and judged.exploratory == (scale == "compact")
        assert (judged.p_holm is None) == (judged.p_contrary_holm is None) == judged.exploratory


def test_what_is_not_run_at_a_scale_says_so(judge_claim: Judge) -> None:
    claim = {"kind": "direction", "lower": "cifar100/swrn-28-10/cifar", "higher": "cifar100/wrn-28-10/cifar"}
    found = judge_claim(claim, "compact").finding
    assert found.verdict == "not run" and found.sentence == "cifar100/swrn-28-10/cifar is not run at scale compact"
    found = judge_claim({"kind": "direction", "lower": "cifar10/swrn-22-10/cifar", "higher": WRN}, unplanned="no room")
    assert (
        "none of the experiments reported here makes it" in found.finding.sentence and "no room" in found.finding.notes
    )
    found = judge_claim({"kind": "direction", "lower": "imagenet/swrn-50-2/imagenet", "higher": WRN}).finding
    assert found.verdict == "not run" and found.sentence == "imagenet/swrn-50-2/imagenet is not run"


def test_one_network_in_place_of_two_answers_nothing(make: Make, judge_claim: Judge) -> None:
    found = judge_claim({"kind": "direction", "lower": SWRN, "higher": SWRN}, "compact").finding
    assert found.verdict == "not comparable" and "stands in for both" in found.sentence


def test_runs_that_depart_from_the_plan_answer_nothing(make: Make, judge_claim: Judge) -> None:
    make(SWRN, LOW, settings={"epochs": 100})
    make(WRN, HIGH)
    found = judge_claim(DIRECTION).finding
    assert found.verdict == "not comparable" and "epochs 100 in place of 200" in found.sentence


def test_a_bad_folder_is_left_out_and_told(make: Make, judge_claim: Judge, tmp_path: Path) -> None:
    make(SWRN, LOW)
    make(WRN, HIGH)
    file = tmp_path / "runs/cifar10/swrn-28-10/cifar/seed1/metrics.json"
    file.write_text(file.read_text().replace('"train_loss": 0', '"train_loss": NaN, "was": 0'))
    judged = judge_claim(DIRECTION)
    assert judged.finding.verdict == "reproduced" and judged.finding.n == 4
    assert judged.runs[0]["left_out"] == ["seed 1: metrics.json: train_loss is nan"]
    for seed in range(5):
        (tmp_path / f"runs/cifar10/swrn-28-10/cifar/seed{seed}/metrics.json").write_text("{")
    found = judge_claim(DIRECTION).finding
    assert found.verdict == "not run" and "seeds 0 to 4: metrics.json is not JSON: truncated?" in found.sentence


def test_circumstances_that_differ_are_told(make: Make, judge_claim: Judge) -> None:
    make(SWRN, LOW, manifest={"device": "cuda"})
    make(WRN, HIGH, manifest={"dataset": {"name": "cifar10", "source": "a JPEG copy", "fingerprint": "f" * 64}})
    notes = judge_claim(DIRECTION).finding.notes
    assert "mixes devices: cpu, cuda" in notes and any("lossy images" in note for note in notes)


def moved(shift: float) -> list[float]:
    """HIGH, moved, and not by the same in every seed."""
    wobbles = [0.02, -0.03, 0.01, 0.02, -0.02]
    return [round(error + shift + wobble, 2) for error, wobble in zip(HIGH, wobbles, strict=True)]


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [(0.0, "reproduced"), (0.2, "reproduced"), (0.6, "not reproduced"), (-1.0, "reproduced"), (0.3, "inconclusive")],
)
def test_no_worse_is_the_upper_test_alone(shift: float, verdict: str, make: Make, judge_claim: Judge) -> None:
    ours = [
        round(error + shift + wobble, 2) for error, wobble in zip(HIGH, [0.02, -0.03, 0.01, 0.02, -0.02], strict=True)
    ]
    make(ONE, ours)
    make(WRN, HIGH)
    found = judge_claim(NO_WORSE).finding
    wanted = stats.ttest_rel(np.array(ours) - 0.3, HIGH, alternative="less").pvalue
    assert found.verdict == verdict and found.p == pytest.approx(wanted) and found.bound == 0.3


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [(0.0, "reproduced"), (-1.0, "not reproduced"), (1.0, "not reproduced"), (0.3, "inconclusive")],
)
def test_alike_asks_both_sides(shift: float, verdict: str, make: Make, judge_claim: Judge) -> None:
    ours = [
        round(error + shift + wobble, 2) for error, wobble in zip(HIGH, [0.02, -0.03, 0.01, 0.02, -0.02], strict=True)
    ]
    make(ONE, ours)
    make(WRN, HIGH)
    found = judge_claim(ALIKE).finding
    upper = stats.ttest_rel(np.array(ours) - 0.3, HIGH, alternative="less").pvalue
    lower = stats.ttest_rel(np.array(ours) + 0.3, HIGH, alternative="greater").pvalue
    assert found.verdict == verdict and found.p == pytest.approx(max(upper, lower))


def test_the_margin_is_that_of_the_dataset(make: Make, judge_claim: Judge) -> None:
    for name, errors in (("swrn-28-10-1", [19.7, 19.8, 19.75]), ("wrn-28-10", [19.3, 19.25, 19.28])):
        make(f"cifar100/{name}/cifar", errors)
    settings = {"ours": "cifar100/swrn-28-10-1/cifar", "than": "cifar100/wrn-28-10/cifar"}
    assert judge_claim({**NO_WORSE, **settings}).finding.bound == 0.6


@pytest.mark.parametrize(
    ("mean", "verdict"), [(3.43, "reproduced"), (3.50, "reproduced"), (3.70, "close"), (4.00, "not reproduced")]
)
def test_a_number_of_the_paper(mean: float, verdict: str, make: Make, judge_claim: Judge) -> None:
    make(WIDE, [mean - 0.02, mean + 0.01, mean, mean + 0.02, mean - 0.01])
    found = judge_claim(VALUE).finding
    assert found.verdict == verdict and found.estimate == pytest.approx(mean) and found.bound == 3.43
    assert found.details["band"] == pytest.approx(band_half_width(0.11, 5, 5)) and found.p is None


def test_a_number_is_not_comparable_at_another_scale_or_with_other_parameters(
    make_run: Callable[..., Path], make: Make, judge_claim: Judge
) -> None:
    table1 = {"kind": "value", "setting": SWRN, "table": "table1", "row": "SWRN 28-10"}
    make(SWRN, [8.1, 8.2, 8.0], "compact")
    found = judge_claim(table1, "compact").finding
    assert found.verdict == "not comparable" and "cifar10/swrn-28-1/cifar in place of" in found.sentence
    for seed, error in enumerate(LOW):
        make_run(Run(Setting(*SWRN.split("/")), seed), error, metrics={"parameters": 1000})
    found = judge_claim(table1).finding
    assert found.verdict == "not comparable" and "1,000 parameters in place of 36,479,302" in found.sentence
    assert judge_claim(VALUE).finding.verdict == "not run"


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ([2.70, 2.66, 2.69, 2.72, 2.68], "reproduced"),
        ([2.90, 2.96, 2.99, 3.02, 2.98], "not reproduced"),
        ([2.70, 2.96, 2.79, 2.92, 2.78], "inconclusive"),
        ([2.70, 2.66], "inconclusive"),
        ([], "not run"),
    ],
)
def test_below_a_quoted_number(errors: list[float], verdict: str, make: Make, judge_claim: Judge) -> None:
    make(CUT, errors)
    found = judge_claim(BELOW).finding
    assert found.verdict == verdict
    if len(errors) == 5:
        assert found.p == pytest.approx(stats.ttest_1samp(errors, 2.83, alternative="less").pvalue)


@pytest.mark.parametrize(
    ("others", "verdict", "p_of"),
    [
        ((4.05, 4.30), "reproduced", 0),  # the nearer decides
        ((4.30, 3.95), "inconclusive", 1),
        ((4.30, 3.50), "not reproduced", 1),
        ((4.30, None), "not run", None),
    ],
)
def test_the_lowest_of_several(
    others: tuple[float, float | None], verdict: str, p_of: int | None, make: Make, judge_claim: Judge
) -> None:
    spread = [-0.12, 0.10, 0.02, -0.05, 0.05]
    ours = [3.9, 3.95, 3.85, 3.92, 3.88]
    make(SWRN, ours)
    theirs = [[round(mean + each, 2) for each in spread] if mean else [] for mean in others]
    for name, errors in zip((WRN, ONE), theirs, strict=True):
        make(name, errors)
    found = judge_claim(LOWEST).finding
    assert found.verdict == verdict, found.sentence
    if p_of is not None:
        assert found.p == pytest.approx(stats.ttest_rel(ours, theirs[p_of], alternative="less").pvalue)
        contraries = [stats.ttest_rel(ours, each, alternative="greater").pvalue for each in theirs]
        assert found.p_contrary == pytest.approx(min(1.0, 2 * min(contraries)))
        assert ("wrn-28-10", "swrn-28-10-1")[p_of] in found.sentence


@pytest.mark.parametrize(("mean", "verdict"), [(2.9, "reproduced"), (3.05, "inconclusive"), (3.4, "not reproduced")])
def test_near_a_quoted_number(mean: float, verdict: str, make: Make, judge_claim: Judge) -> None:
    errors = [round(mean + each, 2) for each in (-0.12, 0.10, 0.02, -0.05, 0.05)]
    make(CUT, errors)
    found = judge_claim(NEAR).finding
    assert found.verdict == verdict and found.estimate == pytest.approx(np.mean(errors) - 2.83)
    upper = stats.ttest_1samp(errors, 2.83 + 0.3, alternative="less").pvalue
    lower = stats.ttest_1samp(errors, 2.83 - 0.3, alternative="greater").pvalue
    assert found.p == pytest.approx(max(upper, lower))


@pytest.mark.parametrize("claim", [BELOW, NEAR, VALUE | {"setting": CUT, "table": "table4", "row": "SWRN 28-10-2"}])
def test_mixed_runs_are_held_against_no_number(claim: dict[str, Any], make: Make, judge_claim: Judge) -> None:
    make(CUT, [2.70, 2.66, 2.69])
    make(CUT, {3: 2.72, 4: 2.68}, manifest={"precision": "bf16"})
    assert judge_claim(claim).finding.verdict == "mixed runs"


def test_a_quoted_number_is_no_matter_of_another_scale(make: Make, judge_claim: Judge) -> None:
    make(CUT, [7.1, 7.3, 7.2], "compact")
    assert judge_claim(BELOW, "compact").finding.verdict == "not comparable"


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ([3.74, 3.75, 3.73, 3.76, 3.72], "reproduced"),
        ([3.50, 3.51, 3.49, 3.52, 3.48], "close"),
        ([3.20, 3.21, 3.19, 3.22, 3.18], "not reproduced"),
        ([3.99, 4.00, 3.97, 4.01, 3.98], "close"),
        # No less at all, though within twice the band.
        ([4.00, 4.01, 3.99, 4.02, 3.98], "inconclusive"),
        ([4.16, 4.17, 4.15, 4.18, 4.14], "inconclusive"),
        ([4.46, 4.47, 4.45, 4.48, 4.44], "not reproduced"),
    ],
)
def test_a_share_of_the_error(errors: list[float], verdict: str, make: Make, judge_claim: Judge) -> None:
    make(SWRN, errors)
    make(WRN, [4.00, 4.01, 3.99, 4.02, 3.98])
    found = judge_claim(REDUCTION).finding
    assert found.verdict == verdict and found.estimate == pytest.approx(100 * (1 - np.mean(errors) / 4.0))
    spread = 100 * math.hypot(0.11, np.mean(errors) / 4.0 * 0.11) / 4.0
    assert found.details["band"] == pytest.approx(band_half_width(spread, 5, 5))


def test_a_share_at_another_scale_is_no_answer(make: Make, judge_claim: Judge) -> None:
    make(SWRN, [8.1, 8.2, 8.0], "compact")
    make(WRN, [8.6, 8.8, 8.55], "compact")
    found = judge_claim(REDUCTION, "compact").finding
    assert found.verdict == "not comparable" and "in place of" in found.sentence and found.estimate > 0


@pytest.mark.parametrize(
    ("printed", "verdict"),
    [("36", "reproduced"), ("36.4", "reproduced"), ("36.5", "reproduced"), ("36.6", "close"), ("12", "not reproduced")],
)
def test_parameters_as_printed_are_cut_off_or_rounded(printed: str, verdict: str, judge_claim: Judge) -> None:
    judged = judge_claim({"kind": "parameters", "counts": {"cifar10/wrn-28-10": printed}}, "quick")
    assert judged.finding.verdict == verdict and judged.finding.estimate == 36479194
    assert judged.finding.at == "the architecture"


def test_the_worst_of_several_counts_decides(judge_claim: Judge) -> None:
    counts = {"cifar10/wrn-28-10": "36", "cifar10/swrn-28-10-1": "13", "cifar10/swrn-28-18-2": "< 68"}
    assert judge_claim({"kind": "parameters", "counts": counts}).finding.verdict == "close"
    counts["cifar10/swrn-28-18-2"] = "< 55"
    assert judge_claim({"kind": "parameters", "counts": counts}).finding.verdict == "not reproduced"


@pytest.mark.parametrize(("ratio", "verdict"), [(0.3333, "reproduced"), (0.35, "close"), (0.5, "not reproduced")])
def test_a_third_of_the_parameters(ratio: float, verdict: str, judge_claim: Judge) -> None:
    test = {"kind": "parameter-ratio", "dataset": "cifar10", "model": "swrn-28-10-1", "over": "wrn-28-10"}
    found = judge_claim({**test, "ratio": ratio, "tolerance": 0.01}).finding
    assert found.verdict == verdict and found.estimate == pytest.approx(12287212 / 36479194)


@pytest.mark.parametrize("model", ["wrn-16-1", "wrn-22-2", "swrn-22-2", "swrn-28-1-4", "swrn-40-1-8", "swrn-16-3-1"])
@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_parameters_counted_are_those_of_the_network(model: str, dataset: str) -> None:
    network = create_model(model, num_classes=100 if dataset == "cifar100" else 10)
    assert count_parameters(model, dataset) == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("model", ["wrn-50-2", "swrn-50-2", "swrn-50-1-2", "swrn-101-1-1"])
def test_parameters_counted_are_those_of_the_network_for_imagenet(model: str) -> None:
    with torch.device("meta"):
        network = create_model(model, 1000)
    assert count_parameters(model, "imagenet") == sum(each.numel() for each in network.parameters())


def test_training_time_counts_on_the_paper_s_device_alone(make: Make, judge_claim: Judge) -> None:
    for hours, device, verdict in [
        (9.0, "NVIDIA GeForce GTX 1080 Ti", "reproduced"),
        (15.0, "NVIDIA GeForce GTX 1080 Ti", "close"),
        (30.0, "NVIDIA GeForce GTX 1080 Ti", "not reproduced"),
        (1.0, "NVIDIA H200", "not comparable"),
    ]:
        make(CUT, [2.70, 2.66, 2.69], manifest={"device": device, "device_seconds": hours * 3600})
        found = judge_claim(TIME).finding
        assert found.verdict == verdict and found.estimate == pytest.approx(hours)
        strict = "not reproduced" if verdict == "close" else verdict
        assert judge_claim({**TIME, "strict": True}).finding.verdict == strict


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        (["1.01,1.0,1.02,6", "1.02,1.01,1.03,6"], "reproduced"),
        (["1.01,1.0,1.02,6", "1.08,1.07,1.09,6"], "close"),
        (["1.01,1.0,1.02,6", "1.3,1.25,1.35,6"], "not reproduced"),
        (["1.01,0.8,1.6,6", "1.3,1.29,1.31,6"], "not reproduced"),  # however noisy the other
        (["1.01,0.9,1.2,6", "1.08,1.07,1.09,6"], "inconclusive"),
        # Below the bound or above it, but not beyond the noise; and what may be above decides, be its median the lower.
        (["1.01,1.0,1.02,6", "1.03,0.98,1.07,6"], "inconclusive"),
        (["1.03,1.02,1.04,6", "1.01,0.9,1.2,6"], "inconclusive"),
        (["1.01,1.0,1.02,6", "1.06,1.0,1.1,6"], "inconclusive"),
        (["1.01,1.0,1.02,6", "1.01,,,1"], "inconclusive"),
        (["1.01,1.0,1.02,6"], "not run"),
        (None, "not run"),
    ],
)
def test_the_cost_of_a_step(rows: list[str] | None, verdict: str, judge_claim: Judge, tmp_path: Path) -> None:
    rows_asked = ["step.swrn-28-10.batch128", "step.swrn-28-10-2.batch128"]
    if rows is not None:
        (tmp_path / "bench").mkdir()
        lines = "".join(f"{name},{row}\n" for name, row in zip(rows_asked, rows, strict=False))
        (tmp_path / "bench" / "bench.csv").write_text("name,value,low,high,rounds\n" + lines)
        machine = {"device": "a processor", "threads": 2, "precision": "bf16"}
        (tmp_path / "bench" / "manifest.json").write_text(json.dumps(machine))
    found = judge_claim({"kind": "cost", "rows": rows_asked, "at_most": 1.05}, "quick").finding
    assert found.verdict == verdict
    assert found.at == ("scale quick" if verdict == "not run" else "the bench, a processor, 2 threads, bf16")


@pytest.mark.parametrize("rounds", [5, 8, 20])
def test_the_interval_of_a_median_covers_what_it_says(rounds: int) -> None:
    random, trials = np.random.default_rng(1), 4000
    held = 0
    for _ in range(trials):
        low, median, high = statistics.quantiles(random.normal(1.0, 0.1, rounds), n=4, method="inclusive")
        interval = _Row(median, low, high, rounds).interval
        assert interval is not None
        held += interval[0] <= 1.0 <= interval[1]
    assert abs(held / trials - 0.95) < 4 * (0.05 * 0.95 / trials) ** 0.5


def test_a_bench_that_kept_no_spread_decides_nothing(judge_claim: Judge, tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "bench.csv").write_text("name,value\nstep.swrn-28-10.batch128,1.01\n")
    found = judge_claim({"kind": "cost", "rows": ["step.swrn-28-10.batch128"], "at_most": 1.05}).finding
    assert found.verdict == "inconclusive" and "no interval" in found.sentence


def test_a_damaged_bench_is_told(judge_claim: Judge, tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "bench.csv").write_text("name,worth\nx,1\n")
    found = judge_claim({"kind": "cost", "rows": ["step.swrn-28-10.batch128"], "at_most": 1.05}).finding
    assert found.verdict == "not run" and "bench.csv cannot be used" in found.sentence


@pytest.mark.parametrize(
    ("p", "contrary", "verdict"),
    [(0.049, 0.951, "reproduced"), (0.951, 0.049, "not reproduced"), (0.05, 0.95, "inconclusive")],
)
def test_the_level_decides(p: float, contrary: float, verdict: str) -> None:
    assert decided(p, contrary, 0.05) == (Verdict(verdict), p, contrary)


@pytest.mark.parametrize("claim", [VALUE, BELOW, NEAR, REDUCTION, TIME], ids=lambda claim: claim["kind"])
@pytest.mark.parametrize("n", [1, 2])
def test_seeds_too_few_at_another_scale_are_no_reason_to_wait_for_more(
    claim: dict[str, Any], n: int, make: Make, judge_claim: Judge
) -> None:
    for setting in (WIDE, CUT, SWRN, WRN):
        if load_scale("compact").stand_in(Setting(*setting.split("/"))) is not None:
            make(setting, [7.1, 7.3][:n], "compact")
    found = judge_claim(claim, "compact").finding
    assert found.verdict in ("not comparable", "not run") and "a verdict needs" not in found.sentence


def test_what_was_seen_of_too_few_is_told_and_not_tested(make: Make, judge_claim: Judge) -> None:
    make(SWRN, LOW[:2])
    make(WRN, HIGH)
    found = judge_claim(DIRECTION).finding
    assert found.verdict == "inconclusive" and found.p is None
    assert found.sentence == "2 of 5 runs of cifar10/swrn-28-10/cifar are complete; a verdict needs 3"
    wrn = f"{np.mean(HIGH):.2f}"
    told = (
        f"seen, not tested: cifar10/swrn-28-10/cifar errs 3.77 % (n = 2), cifar10/wrn-28-10/cifar errs {wrn} % (n = 5)"
    )
    assert told in found.notes


def test_runs_that_no_experiment_makes_are_not_waited_for(make: Make, judge_claim: Judge) -> None:
    make(CUT, [7.1], "quick")
    claim = {"kind": "direction", "lower": CUT, "higher": "cifar10/wrn-28-10/cifar-cutout-dropout"}
    make(claim["higher"], [7.9], "quick")
    judged = judge_claim(claim, "quick")
    assert judged.finding.sentence.startswith("1 of 1 run of ")
    assert judged.finding.sentence.endswith("are complete; a verdict needs 3, and scale quick plans no more")
    assert [run["left_out"] for run in judged.runs] == [[], []]
