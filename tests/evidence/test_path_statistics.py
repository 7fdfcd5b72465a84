"""Shortest paths by either kind of batch norm's statistics, and differences within a setting, from folders by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats

from softshare.errors import UserError
from softshare.evidence.figures.writing import write_figure
from softshare.evidence.paths.differences import difference_rows, find_differences, shown_differences
from softshare.evidence.paths.runs import path_rows
from softshare.evidence.paths.statistics import apart, rows_with_anew, statistics_rows
from softshare.evidence.paths.tables import write_path_table
from softshare.evidence.report import write_report
from softshare.evidence.runs.gather import gather
from softshare.evidence.runs.runfolder import State, read_run
from softshare.files import project_root
from softshare.plan import Plan, load_plan
from softshare.recipes import load_recipe
from softshare.scales import Run, Setting, load_scale

CNN = Setting("shortest-paths", "cnn-20", "paths-anew")
SCNN = Setting("shortest-paths", "scnn-20", "paths-anew")
SCNN_R = Setting("shortest-paths", "scnn-20", "paths-anew-recurrent")
NAME, SCALE = "paths-statistics", "compact"
VARIANTS = ["paths-skip", "paths-labels", "paths-adam", "paths-regularizer"]
PHASES, EPOCHS = 5, 10
# Of five seeds, so that differences have a spread.
NOISE = np.array([0.010, -0.020, 0.015, -0.010, 0.020])


def write_run(results: Path, run: Run, f1: np.ndarray, anew: np.ndarray, losses: np.ndarray, **changes: Any) -> Path:
    """A run folder with F1 by running statistics and anew, [5, 10], and losses of training and of both, [3, 5, 10]."""
    setting = run.setting
    settings = load_recipe(setting.recipe, load_scale(SCALE))
    key = {"dataset": setting.dataset, "model": setting.model, "recipe": setting.recipe, "seed": run.seed}
    matrix = np.full((PHASES, PHASES), 0.2)
    np.fill_diagonal(matrix, f1[:, -1])
    metrics = {
        **key,
        "epochs": PHASES * EPOCHS,
        "parameters": 186129,
        "test": {"f1": f1[:, -1].tolist(), "loss": losses[1, :, -1].tolist(), "examples": settings["test"]},
        "extrapolation": matrix.tolist(),
        "anew": {"test": {"f1": anew[:, -1].tolist(), "loss": losses[2, :, -1].tolist()}},
        "validation": None,
        "train_loss": 0.1 + run.seed / 1e6 + sum(map(ord, str(setting))) / 1e9,
    }
    manifest = {
        "settings": settings | key,
        "commit": "a" * 40,
        "dirty": False,
        "versions": {"torch": "2.9.0"},
        "device": "cpu",
        "precision": "bf16",
        "dataset": {"name": "shortest-paths", "seed": run.seed, "settings": {}, "fingerprint": f"{run.seed:064x}"},
        "wall_seconds": 600.0,
        "device_seconds": 590.0,
    } | changes
    folder = results / "runs" / run.folder
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    head = "epoch,phase,train_loss,test_loss,test_f1,anew_loss,anew_f1,seconds,evaluation_seconds"
    lines = [
        f"{phase * EPOCHS + epoch + 1},{phase + 1},{losses[0, phase, epoch]},{losses[1, phase, epoch]},"
        f"{f1[phase, epoch]},{losses[2, phase, epoch]},{anew[phase, epoch]},1.0,0.1"
        for phase, epoch in np.ndindex(PHASES, EPOCHS)
    ]
    (folder / "history.csv").write_text("\n".join([head, *lines]) + "\n")
    return folder


def write_all(results: Path, seeds: int = 5) -> None:
    """SCNN-R 0.3 lower in the first two epochs by running statistics, and level anew; two epochs of each run apart."""
    for seed in range(seeds):
        for setting in (CNN, SCNN, SCNN_R):
            f1 = np.full((PHASES, EPOCHS), 0.8)
            anew = f1 + 0.05
            if setting == SCNN_R:
                f1[0, :2] -= 0.3 + NOISE[seed]
                anew[0, :2] += NOISE[seed] - NOISE.mean()
            if setting == CNN:
                f1[1:] -= 0.1 + NOISE[seed]
            losses = np.full((3, PHASES, EPOCHS), 0.01)
            losses[1] = 0.02
            losses[1, 0, [0, 3]] = 0.5  # the first of a phase is not counted
            losses[1, 4, 9] = 0.0301
            losses[2, 2, 5] = 0.0299
            write_run(results, Run(setting, seed), f1, anew, losses)


@pytest.fixture
def plan() -> Plan:
    return load_plan(SCALE, [NAME])


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_all(tmp_path / "results")
    return tmp_path / "results"


def test_the_plan() -> None:
    plan = load_plan(SCALE, ["figure5", "paths-batch-size", NAME, *VARIANTS])
    runs = {experiment.name: set(experiment.runs) for experiment in plan.experiments}
    before = runs["figure5"] | runs["paths-batch-size"]
    assert len(before) == 47 and len(runs[NAME] - before) == 15
    before |= runs[NAME]
    assert [len(runs[name] - before) for name in VARIANTS] == [9, 9, 9, 9] and len(plan.runs) == 47 + 15 + 36
    assert load_plan("paper", [NAME, *VARIANTS]).experiments == ()


def test_each_variant_is_one_change() -> None:
    scale = load_scale(SCALE)

    def trained(name: str) -> dict[str, Any]:  # how it is scored besides changes no weight
        return {key: value for key, value in load_recipe(name, scale).items() if key != "statistics_anew"}

    base, recurrent = trained("paths"), trained("paths-recurrent")
    for experiment in load_plan(SCALE, VARIANTS).experiments:
        for cell in experiment.cells:
            settings = trained(cell.paper.recipe)
            to = recurrent if settings["recurrence"] else base
            changed = {key for key in settings if settings[key] != to[key]}
            as_chosen = cell.paper.recipe in ("paths", "paths-recurrent", "paths-anew", "paths-anew-recurrent")
            assert settings.keys() == to.keys() and len(changed) == (not as_chosen), cell.row
            assert (settings["recurrence"] > 0) == cell.row.startswith("SCNN-R")
        for pair in experiment.differences:
            one, other = (trained(experiment.cell(row, "shortest-paths").paper.recipe) for row in pair)
            assert one.keys() == other.keys() and {key for key in one if one[key] != other[key]} <= {"recurrence"}
    assert load_recipe("paths-recurrent-summed")["recurrence"] == 0.01 / 32**2


def test_a_run_is_complete_and_repeats_no_other(plan: Plan, results: Path) -> None:
    """Though the same training without statistics anew ends with the same numbers."""
    same = Run(Setting(SCNN.dataset, SCNN.model, "paths"), 0)
    anew = results / "runs" / Run(SCNN, 0).folder
    folder = results / "runs" / same.folder
    folder.mkdir(parents=True)
    for name in ("metrics.json", "manifest.json"):
        content = json.loads((anew / name).read_text())
        content.pop("anew", None)
        part = content.get("settings", content)
        part["recipe"] = "paths"
        part.pop("statistics_anew", None)
        (folder / name).write_text(json.dumps(content))
    (folder / "history.csv").write_text((anew / "history.csv").read_text())
    evidence = gather(load_plan(SCALE, ["figure5", NAME]), results)
    assert evidence.records[same].complete
    assert {evidence.records[run].state for run in plan.runs} == {State.COMPLETE}


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no columns": (lambda f: drop_column(f, "anew_f1"), "history.csv cannot be read"),
    "no loss": (lambda f: drop_column(f, "anew_loss"), "history.csv cannot be read"),
    "no metrics": (lambda f: edit(f, lambda m: m.pop("anew")), "metrics.json: anew.test is missing"),
    "another end": (lambda f: edit(f, lambda m: m["anew"]["test"]["f1"].__setitem__(0, 0.1)), "anew.test.f1 is not"),
    "too few": (lambda f: edit(f, lambda m: m["anew"]["test"]["f1"].pop()), "anew.test.f1 is no table of 1 x 5"),
    "a negative loss": (lambda f: replace(f, "0.0299", "-1"), "anew_loss is out of range"),
    "a loss of no number": (lambda f: replace(f, "0.0299", "nan"), "anew_loss is nan"),
}


def edit(folder: Path, change: Callable[[dict], Any]) -> None:
    content = json.loads((folder / "metrics.json").read_text())
    change(content)
    (folder / "metrics.json").write_text(json.dumps(content))


def replace(folder: Path, old: str, new: str) -> None:
    text = (folder / "history.csv").read_text()
    assert old in text
    (folder / "history.csv").write_text(text.replace(old, new))


def drop_column(folder: Path, name: str) -> None:
    rows = list(csv.DictReader((folder / "history.csv").open()))
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [key for key in rows[0] if key != name], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_run_says_why(case: str, results: Path) -> None:
    damage, said = DAMAGES[case]
    run = Run(SCNN, 1)
    damage(results / "runs" / run.folder)
    record = read_run(results, run)
    assert record.state is State.UNUSABLE and said in record.reason, record.reason


def test_epochs_apart_are_counted_but_for_the_first_of_a_phase(plan: Plan, results: Path) -> None:
    (row, *_) = rows_with_anew(path_rows(gather(plan, results).cells[NAME], results))
    assert apart(row, "running") == (2 * 5, 5 * 45) and apart(row, "anew") == (0, 5 * 45)


def test_the_table_s_numbers(plan: Plan, results: Path) -> None:
    rows = list(statistics_rows(rows_with_anew(path_rows(gather(plan, results).cells[NAME], results))))
    found = {(row["row"], row["statistics"], row["part"]): row for row in rows}
    assert len(rows) == len(found) == 3 * 2 * 3
    slow = found["SCNN-R", "running", "first fifth of phase 1"]
    assert slow["mean_f1"] == pytest.approx(0.5 - NOISE.mean()) and slow["sd_f1"] == pytest.approx(NOISE.std(ddof=1))
    assert found["SCNN-R", "anew", "first fifth of phase 1"]["mean_f1"] == pytest.approx(0.85)
    assert found["CNN", "running", "first fifth of later phases"]["mean_f1"] == pytest.approx(0.7 - NOISE.mean())
    assert found["CNN", "running", "phase ends"]["mean_f1"] == pytest.approx(0.72 - 0.8 * NOISE.mean())
    assert found["CNN", "anew", "phase ends"]["mean_f1"] == pytest.approx(0.85)


def test_differences_are_those_of_a_paired_test(plan: Plan, results: Path) -> None:
    found = find_differences(plan.experiment(NAME), gather(plan, results).cells[NAME], results)
    rows = {(row["row"], row["minus"], row["statistics"], row["part"]): row for row in difference_rows(found)}
    assert len(rows) == 2 * 2 * 3
    slow = rows["SCNN-R", "SCNN", "running", "first fifth of phase 1"]
    wanted = stats.ttest_1samp(-0.3 - NOISE, 0.0)
    low, high = wanted.confidence_interval(0.95)
    assert (slow["pairs"], slow["notes"]) == (5, None)
    assert [slow[key] for key in ("difference", "low", "high")] == pytest.approx([-0.3 - NOISE.mean(), low, high])
    anew = rows["SCNN-R", "SCNN", "anew", "first fifth of phase 1"]
    assert anew["difference"] == pytest.approx(0, abs=1e-9) and anew["low"] < 0 < anew["high"]
    assert rows["SCNN", "CNN", "running", "first fifth of phase 1"]["low"] is None  # the same in every seed
    shown = shown_differences(found)
    assert shown[0]["F1, first fifth of phase 1"].startswith("\N{MINUS SIGN}0.303 (\N{MINUS SIGN}0.3")
    assert shown[2]["F1, first fifth of phase 1"] == "0.000 (no interval)"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"commit": "b" * 40}, "mixes code"),
        ({"precision": "fp32"}, "mixes precisions: bf16, fp32"),
        ({"dataset": {"name": "shortest-paths", "seed": 0, "settings": {}, "fingerprint": "e" * 64}}, "other examples"),
    ],
)
def test_what_is_not_of_one_kind_is_not_compared(change: dict, said: str, plan: Plan, results: Path) -> None:
    for file in (results / "runs" / CNN.dataset / CNN.model).rglob("manifest.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | change))
    found = find_differences(plan.experiment(NAME), gather(plan, results).cells[NAME], results)
    assert [(each.row, each.minus, bool(each.found)) for each in found] == [
        ("SCNN-R", "SCNN", True),
        ("SCNN-R", "SCNN", True),
        ("SCNN", "CNN", False),
    ]
    assert said in found[-1].notes[0]


def test_another_device_is_told_beside(plan: Plan, results: Path) -> None:
    for file in (results / "runs" / CNN.dataset / CNN.model).rglob("manifest.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"device": "another"}))
    shown = shown_differences(find_differences(plan.experiment(NAME), gather(plan, results).cells[NAME], results))
    assert [row["Note"] for row in shown] == ["", "", *2 * ["mixes devices: another, cpu"]]


def test_fewer_than_three_pairs_are_no_comparison(plan: Plan, tmp_path: Path) -> None:
    write_all(tmp_path, seeds=2)
    found = find_differences(plan.experiment(NAME), gather(plan, tmp_path).cells[NAME], tmp_path)
    assert [each.notes for each in found] == 2 * [("2 pairs; 3 are needed",)]


def test_the_figure_the_table_and_the_report(plan: Plan, results: Path) -> None:
    figure, *_, numbers = write_figure(plan, NAME, results, results / "figures")
    svg = figure.read_text()
    for text in ("loss, SCNN-R (n = 5)", "test, statistics anew", "training", "21 x 21"):
        assert f"<!-- {text} -->" in svg, text
    rows = list(csv.DictReader(numbers.open()))
    assert len(rows) == 15 * 50 and {float(row["anew_loss"]) for row in rows} == {0.01, 0.0299}
    files = {file.name: file for file in write_path_table(plan, NAME, results, results / "tables")}
    assert sorted(files) == sorted(f"{NAME}{end}" for end in (".md", ".tex", ".csv", ".html", "-differences.csv"))
    assert len(list(csv.DictReader(files[f"{NAME}-differences.csv"].open()))) == 12
    for file in (files[f"{NAME}.md"], files[f"{NAME}.html"], write_report(plan, results, results / "report.md")):
        text = file.read_text()
        assert "10 of 225" in text and "\N{MINUS SIGN}0.303 (" in text and "Exploratory" in text, file
    page = (results / "report.html").read_text()
    assert "\N{MINUS SIGN}0.303 (" in page and "Differences in Shortest paths" in page
    assert files[f"{NAME}.tex"].read_text().count("\\begin{table}") == 2


def test_the_same_folders_give_the_same_bytes(plan: Plan, results: Path, tmp_path: Path) -> None:
    for write in (write_figure, write_path_table):
        first, second = (write(plan, NAME, results, tmp_path / place) for place in "ab")
        assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_what_is_not_there_is_said(plan: Plan, tmp_path: Path) -> None:
    write_all(tmp_path)
    (tmp_path / "runs" / Run(SCNN, 4).folder / "history.csv").unlink()
    for seed in range(5):
        (tmp_path / "runs" / Run(CNN, seed).folder / "metrics.json").unlink()
    svg = write_figure(plan, NAME, tmp_path, tmp_path / "figures")[0].read_text()
    assert "loss, SCNN (n = 4)" in svg and "SCNN: left out: seed 4: history.csv is missing" in svg
    assert "loss, CNN" not in svg and "CNN: left out: seeds 0 to 4: metrics.json is missing" in svg
    text = write_path_table(plan, NAME, tmp_path, tmp_path / "tables")[0].read_text()
    assert "CNN: not run" in text and "| 4 " in text
    nothing = write_figure(plan, NAME, tmp_path / "none", tmp_path / "a")
    assert nothing[-1].read_text() == "row\n"
    assert "not run" in write_path_table(plan, NAME, tmp_path / "none", tmp_path / "a")[0].read_text()


def test_a_recipe_that_asks_for_none_is_said(results: Path, tmp_path: Path) -> None:
    root = with_experiment(tmp_path, lambda content: content["rows"][0].update(recipe="paths"))
    plan = load_plan(SCALE, [NAME], root)
    for seed in range(5):
        old, new = (
            results / "runs" / Run(Setting(CNN.dataset, CNN.model, recipe), seed).folder
            for recipe in ("paths-anew", "paths")
        )
        new.parent.mkdir(exist_ok=True)
        old.rename(new)
        for file in (new / "metrics.json", new / "manifest.json"):
            file.write_text(file.read_text().replace('"paths-anew"', '"paths"').replace('"statistics_anew": 720, ', ""))
    evidence = gather(plan, results)
    row = rows_with_anew(path_rows(evidence.cells[NAME], results))[0]
    assert not row.scores and row.missing == ("its recipe asks for no statistics anew",)
    found = find_differences(plan.experiment(NAME), evidence.cells[NAME], results)
    assert [each.statistics for each in found] == ["running", "anew", "running"] and found[2].found


def with_experiment(tmp_path: Path, change: Callable[[dict], Any]) -> Path:
    root = tmp_path / "root"
    for file in (project_root() / "config").rglob("*.yaml"):
        copy = root / "config" / file.relative_to(project_root() / "config")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text())
    file = root / "config" / "experiments" / f"{NAME}.yaml"
    content = yaml.safe_load(file.read_text())
    change(content)
    file.write_text(yaml.safe_dump(content))
    return root


@pytest.mark.attack("bad input: scales, experiments, recipes, claims, run folders, data")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda c: c["differences"].append(["SCNN", "CN"]),
            "differences.2: 'CN': no row that is run has it; did you mean",
        ),
        (lambda c: c["differences"].append(["SCNN", "SCNN"]), "differences.2"),
        (lambda c: c["differences"].append(["SCNN"]), "differences.2"),
        (lambda c: c.update(differences=[]), "differences"),
        (lambda c: c.update(kind="table"), "kind: 'table': unknown value; known: path-statistics, paths"),
    ],
)
def test_differences_that_cannot_be(change: Callable[[dict], Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_plan(SCALE, [NAME], with_experiment(tmp_path, change))
    assert said in str(caught.value) and "\n" not in str(caught.value)
