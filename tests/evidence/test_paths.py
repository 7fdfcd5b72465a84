"""Figure 5 and the claims of section 4.4, from run folders made by hand."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from softshare.errors import UserError
from softshare.evidence.claims.paths import part_in_words
from softshare.evidence.figures.writing import write_figure
from softshare.evidence.paths.runs import read_predictions
from softshare.evidence.paths.scores import PathScores
from softshare.evidence.paths.tables import write_path_table
from softshare.evidence.runs.gather import gather
from softshare.evidence.runs.runfolder import State, read_run
from softshare.files import project_root
from softshare.plan import Plan, load_plan
from softshare.recipes import load_recipe
from softshare.scales import Run, Setting, load_scale

CNN = Setting("shortest-paths", "cnn-20", "paths")
SCNN = Setting("shortest-paths", "scnn-20", "paths")
SCNN_R = Setting("shortest-paths", "scnn-20", "paths-recurrent")
SCALE = "compact"


def write_path_run(results: Path, run: Run, f1: np.ndarray | float = 0.5, ahead: float = 0.2, **changes: Any) -> Path:
    """A complete run folder with F1 [5, epochs] on each phase's test set, and `ahead` on phases not trained yet."""
    setting = run.setting
    settings = load_recipe(setting.recipe, load_scale(SCALE))
    key = {"dataset": setting.dataset, "model": setting.model, "recipe": setting.recipe, "seed": run.seed}
    phases, epochs = len(settings["windows"]), settings["epochs"]
    curves = np.broadcast_to(np.asarray(f1, float), (phases, epochs)) + run.seed * 1e-4
    matrix = np.where(np.triu(np.ones((phases, phases)), 1) > 0, ahead, curves[:, -1:].T)
    np.fill_diagonal(matrix, curves[:, -1])
    metrics = {
        **key,
        "epochs": phases * epochs,
        "parameters": 186129,
        "test": {"f1": matrix.diagonal().tolist(), "loss": [0.1] * phases, "examples": settings["test"]},
        "extrapolation": matrix.tolist(),
        "validation": None,
        "train_loss": 0.1 + run.seed / 1e6 + sum(map(ord, str(setting))) / 1e9,
    } | changes.get("metrics", {})
    drawn = {"seed": run.seed, "settings": {"side": 32}, "fingerprint": f"{run.seed:064x}"}
    manifest = {
        "settings": settings | key,
        "commit": "a" * 40,
        "dirty": False,
        "versions": {"torch": "2.9.0"},
        "device": "cpu",
        "precision": "fp32",
        "dataset": {"name": "shortest-paths", "source": "made by hand"} | drawn,
        "wall_seconds": 600.0,
        "device_seconds": 590.0,
    } | changes.get("manifest", {})
    folder = results / "runs" / run.folder
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    rows = [
        f"{phase * epochs + epoch + 1},{phase + 1},0.1,0.1,{float(curves[phase, epoch])!r},1.0,0.1"
        for phase, epoch in np.ndindex(phases, epochs)
    ]
    head = "epoch,phase,train_loss,test_loss,test_f1,seconds,evaluation_seconds"
    (folder / "history.csv").write_text("\n".join([head, *rows]) + "\n")
    write_predictions(folder, run.seed)
    return folder


def write_predictions(folder: Path, seed: int, **arrays: np.ndarray) -> None:
    generator = np.random.default_rng(seed)
    made = {
        "inputs": generator.integers(0, 2, (5, 2, 2, 8, 8)).astype(np.uint8),
        "labels": generator.integers(0, 2, (5, 2, 8, 8)).astype(np.uint8),
        "probabilities": generator.random((5, 2, 8, 8)).astype(np.float32),
    }
    np.savez(folder / "predictions.npz", **{**made, **arrays})


def write_layers(folder: Path, least: Sequence[float], epochs: Sequence[int] = (1, 10, 50)) -> None:
    """A `similarity.npz` of 20 layers, the least similarity at each epoch as told."""
    angles = [np.arccos(value) for value in least]
    rows = [[[np.cos(angle * (layer == 0)), np.sin(angle * (layer == 0))] for layer in range(20)] for angle in angles]
    np.savez(
        folder / "similarity.npz",
        **{
            "epochs": np.array(epochs),
            "groups": np.array(["layers"]),
            "layers/coefficients": np.array(rows),
            "layers/weights": np.ones((len(epochs), 20, 20)),
            "layers/chance": np.array([0.0, 0.0]),
            "layers/weight_shape": np.array([32, 32, 3, 3]),
        },
    )


@pytest.fixture
def plan() -> Plan:
    return load_plan(SCALE, ["figure5", "figure5-similarity"])


@pytest.fixture
def everything(plan: Plan, tmp_path: Path) -> Path:
    results = tmp_path / "results"
    for run in plan.runs:
        folder = write_path_run(results, run, 0.4 + 0.1 * (run.setting.model == "scnn-20"))
        write_layers(folder, [0.2, 0.5, 0.9])
    return results


def test_the_plan_pairs_seeds_over_networks(plan: Plan) -> None:
    for each in (plan, load_plan("paper", ["figure5"])):
        cells = {cell.row: [run.seed for run in cell.runs] for cell in each.experiment("figure5").cells}
        assert cells == {"CNN": [*range(10)], "SCNN": [*range(10)], "SCNN-R": [*range(10)], "RNN": [*range(5)]}


def test_a_complete_run_is_complete(plan: Plan, everything: Path) -> None:
    evidence = gather(plan, everything)
    assert {record.state for record in evidence.records.values()} == {State.COMPLETE}
    for found in evidence.cells["figure5"]:
        assert not found.departures and not found.cautions  # seeds that draw other examples are no caution


def edit_json(name: str, change: Callable[[dict], Any]) -> Callable[[Path], Any]:
    def edit(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content))

    return edit


def edit_lines(change: Callable[[list[str]], Any]) -> Callable[[Path], Any]:
    def edit(folder: Path) -> None:
        lines = (folder / "history.csv").read_text().splitlines()
        change(lines)
        (folder / "history.csv").write_text("\n".join(lines) + "\n")

    return edit


DAMAGES = {
    "no metrics": (lambda folder: (folder / "metrics.json").unlink(), "metrics.json is missing"),
    "no history": (lambda folder: (folder / "history.csv").unlink(), "history.csv is missing"),
    "another seed": (edit_json("metrics.json", lambda m: m.update(seed=8)), "belongs to another run: seed 8"),
    "unfinished": (edit_json("metrics.json", lambda m: m.update(epochs=40)), "epoch 40 of 50"),
    "no epochs": (edit_json("manifest.json", lambda m: m["settings"].pop("epochs")), "settings.epochs is missing"),
    "no windows": (edit_json("manifest.json", lambda m: m["settings"].pop("windows")), "windows are missing"),
    "no test": (edit_json("metrics.json", lambda m: m.pop("test")), "test is missing"),
    "no examples": (edit_json("metrics.json", lambda m: m["test"].pop("examples")), "test.examples is missing"),
    "too few": (edit_json("metrics.json", lambda m: m["test"]["f1"].pop()), "test.f1 is no table of 1 x 5"),
    "no matrix": (edit_json("metrics.json", lambda m: m.pop("extrapolation")), "extrapolation is no table of 5 x 5"),
    "a short row": (edit_json("metrics.json", lambda m: m["extrapolation"][3].pop()), "no table of 5 x 5"),
    "above 1": (edit_json("metrics.json", lambda m: m["extrapolation"][0].__setitem__(4, 1.2)), "out of range: 1.2"),
    "a word": (edit_json("metrics.json", lambda m: m["extrapolation"][0].__setitem__(4, "x")), "is no number: 'x'"),
    "NaN": (edit_json("metrics.json", lambda m: m["extrapolation"][0].__setitem__(4, float("nan"))), "is nan"),
    "another diagonal": (edit_json("metrics.json", lambda m: m["extrapolation"][1].__setitem__(1, 0.9)), "diagonal"),
    "the best epoch": (edit_json("metrics.json", lambda m: m["test"]["f1"].__setitem__(1, 0.9)), "last epochs"),
    "cut short": (edit_lines(lambda lines: lines.pop()), "tells of 49 epochs"),
    "cut in a line": (edit_lines(lambda lines: lines.__setitem__(-1, "50,5,0.1")), "cannot be read: truncated?"),
    "phases mixed": (edit_lines(lambda lines: lines.insert(10, lines.pop(20))), "epoch 20 in phase 2 on its line 11"),
    "not F1": (edit_lines(lambda lines: lines.__setitem__(3, "3,1,0.1,0.1,1.5,1,1")), "test_f1 is out of range: 1.5"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_run_says_why(case: str, tmp_path: Path) -> None:
    damage, said = DAMAGES[case]
    run = Run(SCNN, 1)
    damage(write_path_run(tmp_path, run))
    record = read_run(tmp_path, run)
    assert record.state is State.UNUSABLE and said in record.reason, record.reason


UNIT = st.floats(0, 1)


@given(st.data(), st.integers(1, 6), st.integers(1, 60))
def test_a_part_of_the_curve_is_the_mean_of_its_epochs(data: st.DataObject, phases: int, epochs: int) -> None:
    f1 = np.random.default_rng(phases * epochs).random((phases, epochs))
    scores = PathScores(tuple(range(phases)), f1, np.zeros((phases, phases)))
    chosen = tuple(data.draw(st.sets(st.integers(1, phases), min_size=1)))
    low, high = sorted(data.draw(st.tuples(UNIT, UNIT)))
    taken = [epoch for epoch in range(epochs) if round(low * epochs) <= epoch < round(high * epochs)]
    taken = taken or [min(round(low * epochs), epochs - 1)]
    expected = np.mean([f1[phase - 1][epoch] for phase in chosen for epoch in taken])
    assert scores.mean_f1(chosen, (low, high)) == pytest.approx(expected)
    assert scores.mean_f1(tuple(range(1, phases + 1)), (0.0, 1.0)) == pytest.approx(f1.mean())


@given(st.integers(2, 6), st.integers(0, 99))
def test_ahead_are_the_phases_not_trained_yet(phases: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).random((phases, phases))
    scores = PathScores(tuple(range(phases)), matrix, matrix)
    later = [matrix[trained, tested] for trained in range(phases) for tested in range(trained + 1, phases)]
    assert scores.ahead == pytest.approx(np.mean(later))


def test_the_figure_and_its_numbers(plan: Plan, everything: Path, tmp_path: Path) -> None:
    files = write_figure(plan, "figure5", everything, tmp_path / "figures")
    assert [file.suffix for file in files] == [".svg", ".png", ".pdf", ".csv"]
    svg = files[0].read_text()
    texts = ("CNN (n = 10)", "SCNN-R (n = 10)", "RNN (n = 5)", "phase 5", "tested on phase", "input", "21 x 21")
    for text in (*texts, "SCNN less CNN (n = 10)", "SCNN-R less SCNN (n = 10)"):
        assert f"<!-- {text} -->" in svg, text
    rows = list(csv.DictReader(files[3].open()))
    assert len(rows) == 35 * 50
    assert {(row["epoch"], row["phase"], row["window"]) for row in rows} >= {("1", "1", "5"), ("50", "5", "21")}
    one = [float(row["test_f1"]) for row in rows if row["run"] == "shortest-paths/scnn-20/paths/seed3"]
    assert one == [0.5 + 3e-4] * 50


def test_why_no_difference_is_drawn_is_told(plan: Plan, everything: Path, tmp_path: Path) -> None:
    for seed in range(2, 10):
        shutil.rmtree(everything / "runs" / Run(SCNN_R, seed).folder)
    for seed in range(10):
        changed = everything / "runs" / Run(CNN, seed).folder / "manifest.json"
        changed.write_text(json.dumps(json.loads(changed.read_text()) | {"precision": "bf16"}))
    svg = write_figure(plan, "figure5", everything, tmp_path)[0].read_text()
    assert "less CNN (n = " not in svg and "SCNN less CNN: mixes precisions: bf16, fp32" in svg
    assert "less SCNN (n = " not in svg and "SCNN-R less SCNN: 2 pairs; 3 are needed" in svg


def test_the_similarity_figure_shows_early_and_phase_ends(plan: Plan, everything: Path, tmp_path: Path) -> None:
    svg = write_figure(plan, "figure5-similarity", everything, tmp_path)[0].read_text()
    assert "<!-- epoch 1, mean " in svg and "<!-- epoch 50, mean " in svg


def test_the_same_folders_give_the_same_bytes_wherever_they_lie(plan: Plan, everything: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(everything, tmp_path / "else" / "where")
    (moved / "runs" / Run(CNN, 0).folder / "predictions.npz").write_bytes(b"PK")
    (everything / "runs" / Run(CNN, 0).folder / "predictions.npz").write_bytes(b"PK")
    for write in (write_figure, write_path_table):
        first = write(plan, "figure5", everything, tmp_path / "a")
        second = write(plan, "figure5", moved, tmp_path / "b")
        assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_the_table_holds_the_matrices(plan: Plan, everything: Path, tmp_path: Path) -> None:
    md, tex, table, _, differences = write_path_table(plan, "figure5", everything, tmp_path)
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 4 * 25
    cell = next(r for r in rows if (r["row"], r["trained_up_to"], r["tested_on"]) == ("SCNN", "2", "2"))
    values = 0.5 + 1e-4 * np.arange(10)
    assert float(cell["mean_f1"]) == pytest.approx(values.mean()) and cell["n"] == "10"
    assert float(cell["sd_f1"]) == pytest.approx(values.std(ddof=1))
    assert float(cell["interval_low"]) < values.mean() < float(cell["interval_high"])
    ahead = [float(row["mean_f1"]) for row in rows if row["tested_on"] > row["trained_up_to"]]
    assert ahead == pytest.approx([0.2] * 40)
    assert "| SCNN" in md.read_text() and "0.500 ± 0.000" in md.read_text() and "F1, 21 x 21" in md.read_text()
    assert tex.read_text().count("\\\\") == 1 + 4 * 5 + 1 + 2 and "±" not in tex.read_text()
    pairs = {(row["row"], row["minus"]) for row in csv.DictReader(differences.open()) if row["pairs"] == "10"}
    assert pairs == {("SCNN", "CNN"), ("SCNN-R", "SCNN")}


def test_what_is_not_there_is_said(plan: Plan, tmp_path: Path) -> None:
    figure, *_, rows = write_figure(plan, "figure5", tmp_path / "none", tmp_path / "a")
    assert "CNN: left out: seeds 0 to 9: not run" in figure.read_text() and rows.read_text() == "row\n"
    md, _, table, *_ = write_path_table(plan, "figure5", tmp_path / "none", tmp_path / "a")
    assert md.read_text().count("not run") >= 4 and [row["n"] for row in csv.DictReader(table.open())] == ["0"] * 4


def test_a_bad_run_is_left_out_and_the_rest_stands(plan: Plan, everything: Path, tmp_path: Path) -> None:
    (everything / "runs" / Run(SCNN, 4).folder / "history.csv").unlink()
    other = everything / "runs" / Run(CNN, 0).folder
    write_predictions(other, 77)
    (everything / "runs" / Run(SCNN_R, 0).folder / "predictions.npz").unlink()
    svg = write_figure(plan, "figure5", everything, tmp_path)[0].read_text()
    assert "SCNN (n = 9)" in svg and "SCNN: left out: seed 4: history.csv is missing" in svg
    assert "SCNN: no predictions: seed 0 was tested on other examples" in svg
    assert "SCNN-R: no predictions: predictions.npz: no such file" in svg
    changed = everything / "runs" / Run(SCNN, 5).folder / "manifest.json"
    manifest = json.loads(changed.read_text())
    changed.write_text(json.dumps(manifest | {"settings": manifest["settings"] | {"batch_size": 64}}))
    svg = write_figure(plan, "figure5", everything, tmp_path)[0].read_text()
    assert "SCNN (n = " not in svg and "seed 5 ran with batch_size 64 in place of 32" in svg


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"labels": np.zeros((5, 2, 8, 7))}, "labels are"),
        ({"probabilities": np.full((5, 2, 8, 8), 1.5)}, "outside"),
        ({"probabilities": np.full((5, 2, 8, 8), np.nan)}, "outside"),
        ({"inputs": np.zeros((5, 2, 3, 8, 8))}, "inputs are"),
        ({"inputs": np.zeros((5, 2))}, "cannot be used"),
    ],
)
def test_predictions_that_cannot_be(arrays: dict[str, np.ndarray], said: str, tmp_path: Path) -> None:
    write_predictions(tmp_path, 0, **arrays)
    with pytest.raises(UserError, match=said):
        read_predictions(tmp_path / "predictions.npz")


def f1_claim(**changes: Any) -> dict[str, Any]:
    test = {"kind": "paths-f1", "higher": str(SCNN), "lower": str(CNN), "phases": [2, 3, 4, 5], "part": [0.0, 0.2]}
    return test | changes


def write_pairs(results: Path, of: Callable[[int, bool], Any], seeds: int = 6, **changes: Any) -> None:
    """Runs of SCNN (True) and CNN (False), F1 as `of` says for a seed."""
    for seed in range(seeds):
        write_path_run(results, Run(SCNN, seed), of(seed, True))
        write_path_run(results, Run(CNN, seed), of(seed, False), **changes)


@pytest.mark.parametrize(("gain", "verdict"), [(0.05, "reproduced"), (-0.05, "not reproduced"), (0.0, "inconclusive")])
def test_faster_after_a_new_phase(gain: float, verdict: str, judge_claim: Callable, tmp_path: Path) -> None:
    noise = np.array([0.01, -0.02, 0.015, -0.01, 0.02, -0.015])

    def curves(seed: int, shared: bool) -> np.ndarray:
        f1 = np.full((5, 10), 0.8)
        f1[1:, :2] += (gain + noise[seed]) * shared  # the first two of ten epochs of each new phase
        f1[0] -= 0.4 * shared
        f1[:, 2:] -= 0.3 * shared
        return f1

    write_pairs(tmp_path, curves)
    judged = judge_claim(f1_claim(), SCALE)
    assert judged.finding.verdict == verdict and judged.finding.n == 6
    assert (
        judged.finding.estimate == pytest.approx(gain + noise.mean()) and "paired over 6 seeds" in judged.finding.test
    )
    assert judged.runs[0]["n"] == 6 and judged.runs[0]["mean_error"] is None
    assert f"at scale {SCALE}" not in judged.finding.sentence and judged.finding.at == f"scale {SCALE}"


@pytest.mark.parametrize(
    ("phases", "part", "words"),
    [
        ((1,), (0, 1), "all epochs of phase 1"),
        ((2, 3, 4, 5), (0, 1), "all epochs of phases 2 to 5"),
        ((5,), (0.8, 1), "the last fifth of phase 5"),
        ((1, 2, 3, 4, 5), (0.8, 1), "the last fifth of each of phases 1 to 5"),
        ((4, 5), (0, 0.5), "the first half of each of phases 4 and 5"),
        ((1, 3, 5), (0, 0.1), "the first tenth of each of phases 1, 3 and 5"),
        ((1,), (0.2, 0.6), "the part from 0.2 to 0.6 of phase 1"),
        ((1, 2), (0, 0.7), "the part from 0 to 0.7 of each of phases 1 and 2"),
    ],
)
def test_a_part_of_the_training_in_words(phases: tuple[int, ...], part: tuple[float, float], words: str) -> None:
    assert part_in_words(phases, part) == words


def test_a_difference_that_cannot_be_told_says_what_was_found(judge_claim: Callable, tmp_path: Path) -> None:
    write_pairs(tmp_path, lambda seed, shared: 0.8 + (0.01 if seed % 2 else -0.03) * shared)
    said = judge_claim(f1_claim(phases=[2, 3]), SCALE).finding.sentence
    start = "mean F1 over the first fifth of each of phases 2 and 3: whether scnn-20 is above cnn-20 cannot be told; "
    assert said.startswith(f"{start}the first less the second is \N{MINUS SIGN}0.010 (95 % interval ")


def test_extrapolation_counts_phases_ahead_alone(judge_claim: Callable, tmp_path: Path) -> None:
    for seed in range(5):
        write_path_run(tmp_path, Run(SCNN, seed), 0.3, ahead=0.4 + seed * 0.01)
        write_path_run(tmp_path, Run(CNN, seed), 0.9, ahead=0.3 + seed**2 * 0.001)
    test = {"kind": "paths-extrapolation", "higher": str(SCNN), "lower": str(CNN)}
    assert judge_claim(test, SCALE).finding.verdict == "reproduced"
    contrary = judge_claim(test | {"higher": str(CNN), "lower": str(SCNN)}, SCALE)
    assert contrary.finding.verdict == "not reproduced"


def test_runs_on_other_examples_are_not_paired(judge_claim: Callable, tmp_path: Path) -> None:
    write_pairs(tmp_path, lambda seed, shared: 0.5)
    for file in (tmp_path / "runs" / "shortest-paths" / CNN.model).rglob("manifest.json"):
        manifest = json.loads(file.read_text())
        manifest["dataset"]["fingerprint"] = "e" * 64
        file.write_text(json.dumps(manifest))
    finding = judge_claim(f1_claim(), SCALE).finding
    assert finding.verdict == "not comparable" and "saw other examples: seed 0, 1" in finding.sentence


def test_too_few_runs_and_phases_that_are_not_there(judge_claim: Callable, tmp_path: Path) -> None:
    assert judge_claim(f1_claim(), SCALE).finding.verdict == "not run"
    write_pairs(tmp_path, lambda seed, shared: 0.5 + 0.1 * seed * shared, seeds=2)
    assert judge_claim(f1_claim(), SCALE).finding.verdict == "inconclusive"
    write_path_run(tmp_path, Run(SCNN, 2))
    write_path_run(tmp_path, Run(CNN, 2))
    assert judge_claim(f1_claim(phases=[6]), SCALE).finding.verdict == "not comparable"


@pytest.mark.parametrize(
    ("least", "verdict"),
    [([0.95, 0.99, 1.0], "reproduced"), ([0.2, 0.99, 1.0], "close"), ([0.95, 0.99, 0.5], "not reproduced")],
)
def test_layers_made_one(least: list[float], verdict: str, judge_claim: Callable, tmp_path: Path) -> None:
    for seed in range(4):
        write_layers(write_path_run(tmp_path, Run(SCNN_R, seed)), least if seed else [0.95, 0.99, 1.0])
    test = {"kind": "paths-made-one", "setting": str(SCNN_R), "at_least": 0.9}
    finding = judge_claim(test, SCALE).finding
    assert finding.verdict == verdict and finding.estimate == pytest.approx(min(least), abs=1e-6)


@pytest.mark.parametrize("change", [{"part": [0.0]}, {"part": [0.0, 1.5]}, {"phases": []}, {"phases": [0]}, {"of": 1}])
def test_claims_that_cannot_be(change: dict[str, Any], judge_claim: Callable) -> None:
    with pytest.raises(UserError, match=r"claims\.yaml"):
        judge_claim(f1_claim(**change), SCALE)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"label": "x", "model": "wrn-28-10", "recipe": "paths"}, "made for images, not for shortest-paths"),
        ({"label": "x", "model": "cnn-1", "recipe": "paths"}, "at least 2 layers"),
    ],
)
def test_a_row_of_another_task_is_refused(row: dict[str, str], said: str, tmp_path: Path) -> None:
    shutil.copytree(project_root() / "config", tmp_path / "config")
    file = tmp_path / "config" / "experiments" / "figure5.yaml"
    content = yaml.safe_load(file.read_text())
    content["rows"].append(row)
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"figure5\.yaml: rows\.4") as caught:
        load_plan(SCALE, ["figure5"], tmp_path)
    assert said in str(caught.value) and "\n" not in str(caught.value)
