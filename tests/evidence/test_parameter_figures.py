"""Figure 3: error against parameters, from known runs and from none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from softshare.errors import UserError
from softshare.evidence.figures.parameters import Point, draw_parameters, parameter_points, shown_parameters
from softshare.evidence.figures.writing import write_figure
from softshare.evidence.runs.gather import gather
from softshare.evidence.statistics import Summary
from softshare.plan import Plan, load_plan

MakeRun = Callable[..., Path]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_plan("paper", ["figure3"])


def points_of(plan: Plan, results: Path) -> dict[tuple[str, str], Point]:
    points = parameter_points(gather(plan, results), plan.experiment("figure3"))
    return {(point.row, point.dataset): point for point in points}


def test_the_papers_points_come_from_its_tables(plan: Plan, tmp_path: Path) -> None:
    points = points_of(plan, tmp_path)
    assert len(points) == 30
    found = {key: (point.family, point.paper_parameters, point.paper_value) for key, point in points.items()}
    assert found["WRN 28-10*", "cifar100"] == ("WRN", 36536884, 18.85)
    assert found["SWRN 28-18-2*", "cifar10"] == ("SWRN, k = 2", 55414014, 3.43)
    assert found["SWRN 28-10-1", "cifar10"] == ("SWRN, k = 1", 12287212, 4.01)
    assert found["SWRN 28-14*", "cifar10"] == ("SWRN, k = L", 71470918, 3.67)
    assert found["DenseNet 190-40", "cifar10"] == ("quoted", 26e6, 3.46)
    assert found["WRN 28-4*", "cifar10"] == ("WRN", None, None)  # a width chosen here


def test_ours_are_means_with_their_intervals(make_run: MakeRun, plan: Plan, tmp_path: Path) -> None:
    errors = [4.0, 4.1, 4.3, 3.9, 4.2]
    for run, error in zip(plan.experiment("figure3").cell("WRN 28-10*", "cifar10").runs, errors, strict=True):
        make_run(run, error)
    write_figure(plan, "figure3", tmp_path, tmp_path)
    frame = pd.read_csv(tmp_path / "figure3.csv").set_index(["row", "paper_dataset"])
    line = frame.loc[("WRN 28-10*", "cifar10")]
    assert (line["n"], line["parameters"], line["run"]) == (5, 36479194, "cifar10/wrn-28-10/cifar-dropout")
    assert line["mean"] == pytest.approx(4.1)
    wanted = Summary(5, 4.1, line["sd"]).interval
    assert wanted is not None and (line["interval_low"], line["interval_high"]) == pytest.approx(wanted)
    assert frame["mean"].notna().sum() == 1 and frame["parameters"].notna().sum() == 1
    rows = {(row["Row"], row["Dataset"]): row for row in shown_parameters(list(points_of(plan, tmp_path).values()))}
    assert rows["WRN 28-10*", "CIFAR-10"]["Error (%)"] == "4.10 ± 0.16"
    assert rows["WRN 28-10*", "CIFAR-100"]["Error (%)"] == "not run"
    assert rows["DenseNet 100-24", "CIFAR-10"]["What was run"] == "nothing; quoted"


def test_runs_that_depart_from_the_plan_are_not_drawn(make_run: MakeRun, plan: Plan, tmp_path: Path) -> None:
    for run in plan.experiment("figure3").cell("WRN 28-4*", "cifar10").runs:
        make_run(run, 5.0 + run.seed, settings={"epochs": 3})
    point = points_of(plan, tmp_path)["WRN 28-4*", "cifar10"]
    assert point.ours is None
    write_figure(plan, "figure3", tmp_path, tmp_path)
    frame = pd.read_csv(tmp_path / "figure3.csv").set_index(["row", "paper_dataset"])
    assert "ran with epochs 3 in place of 200" in frame.loc[("WRN 28-4*", "cifar10"), "notes"]
    assert frame["mean"].isna().all()


@pytest.mark.parametrize("scale", ["quick", "paper"])
def test_the_papers_points_are_drawn_at_its_scale_alone(scale: str, make_run: MakeRun, tmp_path: Path) -> None:
    plan = load_plan(scale, ["figure3"])
    experiment = plan.experiment("figure3")
    for row in ("WRN 28-10*", "SWRN 28-10-2*"):
        for run in experiment.cell(row, "cifar10").runs:
            make_run(run, 4.0 + run.seed / 10, scale, metrics={"parameters": 17125630 if "-2" in row else 36479194})
    points = list(points_of(plan, tmp_path).values())
    figure = draw_parameters(experiment, points, scale, with_paper=plan.scale.is_paper)
    ten, hundred = figure.axes
    labels = ten.get_legend_handles_labels()[1]
    assert {"WRN*, ours", "SWRN*, k = 2, ours"} <= set(labels)
    assert ("WRN*, the paper" in labels) == ("others, quoted by the paper" in labels) == (scale == "paper")
    drawn = dict(zip(labels, ten.get_lines(), strict=False))
    mean = sum(4.0 + seed / 10 for seed in plan.scale.seeds) / len(plan.scale.seeds)
    assert drawn["WRN*, ours"].get_xydata().tolist() == [pytest.approx([36.479194, mean])]
    assert (
        ten.get_title() == ("CIFAR-10" if scale == "paper" else "digits in place of CIFAR-10")
        and ten.get_ylim()[0] >= 0
    )
    assert ("not run" in [text.get_text() for text in hundred.texts]) == (scale == "quick")


def test_a_network_without_dropout_is_drawn_beside_those_with(make_run: MakeRun, tmp_path: Path) -> None:
    plan = load_plan("compact", ["figure3"])
    experiment = plan.experiment("figure3")
    for row, error in (("WRN 28-10", 15.4), ("WRN 28-10*", 17.4), ("SWRN 28-10-1", 17.1)):
        for run in experiment.cell(row, "cifar10").runs:
            make_run(
                run, error + run.seed / 10, "compact", metrics={"parameters": 127596 if "-1-1" in str(run) else 369498}
            )
    points = list(points_of(plan, tmp_path).values())
    panel = draw_parameters(experiment, points, "compact", with_paper=False).axes[0]
    lines = {line.get_label(): line for line in panel.get_lines()}
    fills = {label: lines[f"{label}, ours"].get_fillstyle() for label in ("WRN", "WRN*", "SWRN, k = 1")}
    assert fills == {"WRN": "bottom", "WRN*": "full", "SWRN, k = 1": "bottom"}
    assert {text.get_text() for text in panel.texts} == {"wrn-28-1", "wrn-28-1*", "swrn-28-1-1"}


def test_the_same_runs_give_the_same_bytes(make_run: MakeRun, plan: Plan, tmp_path: Path) -> None:
    for run in plan.experiment("figure3").runs[:10]:
        make_run(run, 4.0 + run.seed / 100)
    sums = [
        [
            hashlib.sha256(file.read_bytes()).hexdigest()
            for file in write_figure(plan, "figure3", tmp_path, tmp_path / name)
        ]
        for name in ("one", "two")
    ]
    assert sums[0] == sums[1]


def test_a_table_of_no_name(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"table1\.yaml: no such file"):
        parameter_points(gather(plan, tmp_path), plan.experiment("figure3"), tmp_path)
