"""Figures 4 and 6: what `softshare fold` left of each run is read, drawn and told, and what is missing says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from softshare.evidence.figures.writing import write_figure
from softshare.evidence.foldings.runs import FOLDING, draw_folding, folded_runs, shown_folding
from softshare.evidence.report import write_report
from softshare.evidence.runs.gather import gather
from softshare.plan import Plan, load_plan
from softshare.scales import Run

MakeRun = Callable[..., Path]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_plan("paper", ["figure4"])


def cost(threshold: float | None, layers: int, after: float) -> dict[str, Any]:
    return {
        "threshold": threshold,
        "layers": layers,
        "parameters": 1000 * layers,
        "error_before": 4.0,
        "error_after": after,
        "only_before": 1,
        "only_after": 1 + round(100 * (after - 4.0)),  # of 10,000 images
        "p": 0.625,
        "error_reestimated": after - 0.01,
        "p_reestimated": 1.0,
    }


def write_folding(folder: Path, run: Run, /, **changes: Any) -> Path:
    """A `folding.json` with known loops: at 0.8 stage 2 runs (a b) three times."""
    setting = run.setting
    straight, looped = list("abcdef"), list("ababab")
    content = {
        "run": {"dataset": setting.dataset, "model": setting.model, "recipe": setting.recipe, "seed": run.seed},
        "of": "coefficients",
        "threshold": 0.8,
        "test_images": 10000,
        "similarity": {f"stage{index}": np.eye(6).tolist() for index in (1, 2, 3)},
        "own_layers": {f"stage{index}": 2 for index in (1, 2, 3)},
        "foldings": [
            {
                "threshold": threshold,
                "layers": 28,
                "distinct_layers": layers,
                "stages": {"stage1": straight, "stage2": stage2, "stage3": straight},
            }
            for threshold, layers, stage2 in ((0.8, 24, looped), (0.9, 28, straight))
        ],
        "costs": [cost(None, 28, 4.0), cost(0.8, 24, 4.02), cost(0.9, 28, 4.0)],
    } | changes
    file = folder / FOLDING
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content))
    return file


def shown(plan: Plan, results: Path) -> list[dict[str, str]]:
    return list(shown_folding(folded_runs(gather(plan, results).cells["figure4"], results)))


def test_every_run_tells_what_folding_costs_it(make_run: MakeRun, plan: Plan, tmp_path: Path) -> None:
    runs = plan.experiment("figure4").runs
    for run in runs[1:3]:
        write_folding(make_run(run, 4.0 + run.seed / 100), run)
    make_run(runs[3], 4.1)
    rows = shown(plan, tmp_path)
    assert [row["Folded"] for row in rows] == [
        "not run",
        "stage1: a b c d e f; stage2: (a b) x 3; stage3: a b c d e f",
        "stage1: a b c d e f; stage2: (a b) x 3; stage3: a b c d e f",
        "not folded",
        "not run",
    ]
    assert rows[1] == {
        "Row": "SWRN 28-10-4",
        "Run": "cifar10/swrn-28-10-4/cifar/seed1",
        "Folded": "stage1: a b c d e f; stage2: (a b) x 3; stage3: a b c d e f",
        "At": "0.8",
        "Layers": "24 of 28",
        "Error before (%)": "4.00",
        "After": "4.02",
        "p": "0.62",
        "Statistics anew": "4.01",
    }
    write_figure(plan, "figure4", tmp_path, tmp_path / "figures")
    frame = pd.read_csv(tmp_path / "figures/figure4.csv")
    assert len(frame) == 6 and list(frame["threshold"].dropna()) == [0.8, 0.9] * 2
    assert set(frame["run"]) == {str(run) for run in runs[1:3]} and set(frame["row"]) == {"SWRN 28-10-4"}
    text = write_report(plan, tmp_path, tmp_path / "report.md").read_text()
    assert "24 of 28" in text and "(a b) x 3" in text and "figures/figure4.png" in text and "not folded" in text


def test_a_stage_folded_alone_has_a_row_where_it_saves_layers(make_run: MakeRun, plan: Plan, tmp_path: Path) -> None:
    (run, *_) = plan.experiment("figure4").runs
    alone = {"stage1": cost(0.8, 28, 4.0), "stage2": cost(0.8, 24, 4.05), "stage3": cost(0.8, 28, 4.0)}
    write_folding(make_run(run, 4.0), run, stage_costs=alone)
    rows = shown(plan, tmp_path)[:2]
    assert [row["Folded"] for row in rows] == [
        "stage1: a b c d e f; stage2: (a b) x 3; stage3: a b c d e f",
        "stage2 alone",
    ]
    assert [(row["Layers"], row["After"], row["Statistics anew"]) for row in rows] == [
        ("24 of 28", "4.02", "4.01"),
        ("24 of 28", "4.05", "4.04"),
    ]
    write_figure(plan, "figure4", tmp_path, tmp_path / "figures")
    frame = pd.read_csv(tmp_path / "figures/figure4.csv")
    assert list(frame["stages"]) == ["all"] * 3 + ["stage1", "stage2", "stage3"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"run": {"dataset": "digits", "model": "swrn-28-10-4", "recipe": "cifar", "seed": 0}},
            "belongs to another run",
        ),
        ({"threshold": 0.7}, "is no result of folding"),
        ({"foldings": []}, "is no result of folding"),
        ({"costs": [{"threshold": 0.8}]}, "costs[0].error_before is missing"),
        ({"costs": [cost(None, 28, 4.0)]}, "costs are not those of"),
        (None, "is not JSON"),
    ],
)
def test_a_bad_folding_is_told_and_the_rest_stands(
    change: dict[str, Any] | None, told: str, make_run: MakeRun, plan: Plan, tmp_path: Path
) -> None:
    bad, good, *_ = plan.experiment("figure4").runs
    file = write_folding(make_run(bad, 4.0), bad, **(change or {}))
    if change is None:
        file.write_text(file.read_text()[:100])
    write_folding(make_run(good, 4.01), good)
    rows = shown(plan, tmp_path)
    assert told in rows[0]["Folded"] and str(tmp_path) not in rows[0]["Folded"] and "(a b) x 3" in rows[1]["Folded"]


def test_the_drawing_says_what_stands_in_for_what(make_run: MakeRun, tmp_path: Path) -> None:
    for scale, said in (("paper", False), ("quick", True)):
        plan = load_plan(scale, ["figure4"])
        (run, *_) = plan.experiment("figure4").runs
        write_folding(make_run(run, 4.0, scale), run)
        figure = draw_folding("title", folded_runs(gather(plan, tmp_path).cells["figure4"], tmp_path))
        texts = [text.get_text() for text in figure.texts]
        assert ("digits/swrn-28-1-4/cifar in place of cifar10/swrn-28-10-4/cifar" in texts) == said


@pytest.mark.parametrize(("seeds", "drawn"), [([1], [1]), ([0, 2], [0, 2]), ([0, 1, 2, 3, 4], [0, 1, 2])])
def test_seeds_are_drawn_side_by_side(
    seeds: list[int], drawn: list[int], make_run: MakeRun, plan: Plan, tmp_path: Path
) -> None:
    for run in plan.experiment("figure4").runs:
        if run.seed in seeds:
            write_folding(make_run(run, 4.0), run)
    figure = draw_folding("title", folded_runs(gather(plan, tmp_path).cells["figure4"], tmp_path))
    titles = [text for text in figure.axes[0].texts if ", seed " in text.get_text()]
    assert [f"seed {seed}," in text.get_text() for seed, text in zip(drawn, titles, strict=True)] == [True] * len(drawn)
    wide = figure.get_size_inches()[0] / len(drawn)
    assert [text.get_position()[0] for text in titles] == pytest.approx([(at + 0.5) * wide for at in range(len(drawn))])
    more = any("the first 3 of 5 runs" in text.get_text() for text in figure.texts)
    assert more == (len(seeds) > len(drawn))


@pytest.mark.parametrize("folded", [True, False])
def test_the_same_runs_give_the_same_bytes(folded: bool, make_run: MakeRun, plan: Plan, tmp_path: Path) -> None:
    if folded:
        (run, *_) = plan.experiment("figure4").runs
        write_folding(make_run(run, 4.0), run)
    sums = [
        [
            hashlib.sha256(file.read_bytes()).hexdigest()
            for file in write_figure(plan, "figure4", tmp_path, tmp_path / name)
        ]
        for name in ("one", "two")
    ]
    assert sums[0] == sums[1]
