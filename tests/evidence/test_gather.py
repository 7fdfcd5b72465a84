"""Run folders that are complete, absent or bad: what is said of each, and that the rest stands."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import softshare.evidence
from softshare.errors import UserError
from softshare.evidence.claims import judge_claims
from softshare.evidence.runs.gather import CellEvidence, find_experiment, gather
from softshare.evidence.runs.runfolder import State, read_run
from softshare.evidence.tables.writing import build_table
from softshare.plan import Plan, load_plan
from softshare.recipes import load_recipe
from softshare.scales import Run, Setting, load_scale

RUN = Run(Setting("cifar10", "wrn-28-10", "cifar"), 0)
MakeRun = Callable[..., Path]


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def test_a_good_folder_is_complete(make_run: MakeRun, tmp_path: Path) -> None:
    make_run(RUN, 4.0)
    record = read_run(tmp_path, RUN)
    assert record.complete and record.error == 4.0 and record.reason == ""
    assert "seed" not in record.settings and record.settings["epochs"] == 200


def test_no_folder_and_an_empty_one_are_absent(tmp_path: Path) -> None:
    assert read_run(tmp_path, RUN).state is State.ABSENT
    (tmp_path / "runs" / RUN.folder).mkdir(parents=True)
    assert read_run(tmp_path, RUN).state is State.ABSENT


def test_a_run_that_has_not_ended_is_not_there_yet(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(RUN, 4.0)
    (folder / "metrics.json").unlink()
    (folder / "checkpoint.pt").write_bytes(b"half of it")
    record = read_run(tmp_path, RUN)
    assert record.state is State.ABSENT and record.reason == "in training, or stopped before its end"


def diverge(folder: Path, run: Run, **told: Any) -> None:
    """Leaves in a run's folder what a training leaves whose loss became no number, and takes its numbers away."""
    setting = run.setting
    key = {"dataset": setting.dataset, "model": setting.model, "recipe": setting.recipe, "seed": run.seed}
    folder.mkdir(parents=True, exist_ok=True)
    settings = {**key, **load_recipe(setting.recipe, load_scale("paper")), **told.pop("settings", {})}
    content = {"settings": settings, "epoch": 7, "reason": "the loss is no number"} | told
    (folder / "diverged.json").write_text(json.dumps(content))
    (folder / "metrics.json").unlink(missing_ok=True)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_run_that_diverged_is_a_result(tmp_path: Path, checkpoint: bool) -> None:
    folder = tmp_path / "runs" / RUN.folder
    diverge(folder, RUN)
    if checkpoint:
        (folder / "checkpoint.pt").write_bytes(b"of the epoch before")
    record = read_run(tmp_path, RUN)
    assert record.state is State.UNUSABLE and record.diverged
    assert record.reason == "diverged in epoch 7: the loss is no number"


def test_one_that_ended_after_all_is_complete(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(RUN, 4.0)
    diverge(folder, RUN)
    make_run(RUN, 4.0)
    assert read_run(tmp_path, RUN).complete


@pytest.mark.parametrize("told", [{"settings": {"seed": 1}}, {"epoch": "x"}, {"epoch": 0}])
def test_what_tells_of_another_run_s_divergence_or_of_none_is_not_taken_for_it(
    tmp_path: Path, told: dict[str, Any]
) -> None:
    diverge(tmp_path / "runs" / RUN.folder, RUN, **told)
    record = read_run(tmp_path, RUN)
    assert record.state is State.UNUSABLE and not record.diverged and "diverged.json" in record.reason


def test_a_row_says_which_of_its_seeds_diverged(make_run: MakeRun, paper_plan: Plan, tmp_path: Path) -> None:
    for seed in range(4):
        make_run(Run(RUN.setting, seed), 4.0 + seed / 100)
    seed4 = Run(RUN.setting, 4)
    diverge(tmp_path / "runs" / seed4.folder, seed4)
    lines = build_table(gather(paper_plan, tmp_path), "table1").lines
    (line,) = [line for line in lines if seed4 in line.evidence.cell.runs]
    assert line.judgement.n == 4 and "seed 4 left out: diverged in epoch 7: the loss is no number" in line.notes
    judged = judge_claims(paper_plan, tmp_path, tmp_path / "bench").judged
    notes = [note for each in judged for note in each.finding.notes]
    assert "cifar10/wrn-28-10/cifar: seed 4 diverged and is in no number" in notes


def test_what_diverged_under_other_settings_is_no_result(paper_plan: Plan, tmp_path: Path) -> None:
    diverge(tmp_path / "runs" / RUN.folder, RUN, settings={"learning_rate": 1e30, "epochs": 2})
    record = gather(paper_plan, tmp_path).records[RUN]
    assert record.state is State.UNUSABLE and not record.diverged
    assert "ran with epochs 2 in place of 200" in record.reason and "learning_rate 1e+30" in record.reason


def test_a_name_cut_off_at_its_dot_is_that_of_an_earlier_version(make_run: MakeRun, tmp_path: Path) -> None:
    """Settings part such recipes: the runs of one do not pass for those of the other."""
    for level in ("0.01", "0.1"):
        run = Run(Setting("cifar10", "swrn-28-1-4", f"cifar-recurrent-{level}"), 0)
        folder = make_run(run, 15.0, "compact")
        edit(folder / "metrics.json", lambda m: m.update(recipe="cifar-recurrent-0"))
        edit(folder / "manifest.json", lambda m: m["settings"].update(recipe="cifar-recurrent-0"))
        assert read_run(tmp_path, run).complete
        edit(folder / "manifest.json", lambda m: m["settings"].update(recurrence=0.01))
    cells = gather(load_plan("compact", ["recurrence"]), tmp_path).cells["recurrence"]
    found = {cell.cell.row: cell for cell in cells}
    assert not found["0.01"].departures
    assert found["0.1"].departures == ("seed 0 ran with recurrence 0.01 in place of 0.1",)
    edit(folder / "metrics.json", lambda m: m.update(recipe="cifar-recurrent"))
    assert "belongs to another run" in read_run(tmp_path, run).reason


BAD: list[tuple[str, Callable[[Path], object], str]] = [
    ("unfinished", lambda f: (f / "metrics.json").unlink(), "metrics.json is missing"),
    ("truncated", lambda f: (f / "metrics.json").write_text('{"dataset": "cif'), "metrics.json is not JSON"),
    ("empty", lambda f: (f / "metrics.json").write_text(""), "metrics.json is not JSON"),
    ("bytes", lambda f: (f / "metrics.json").write_bytes(b"\xff\xfe\x00"), "metrics.json is not JSON"),
    ("nested", lambda f: (f / "metrics.json").write_text("[" * 100_000), "metrics.json is not JSON"),
    ("a list", lambda f: (f / "metrics.json").write_text("[]"), "holds no JSON object"),
    ("a folder", lambda f: ((f / "metrics.json").unlink(), (f / "metrics.json").mkdir()), "cannot be read"),
    ("foreign", lambda f: edit(f / "metrics.json", lambda m: m.update(seed=3)), "seed 3 in place of 0"),
    (
        "foreign",
        lambda f: edit(f / "manifest.json", lambda m: m["settings"].update(model="x")),
        "another run",
    ),
    (
        "bool seed",
        lambda f: edit(f / "metrics.json", lambda m: m.update(seed=False)),
        "belongs to another run",
    ),
    (
        "nan",
        lambda f: edit(f / "metrics.json", lambda m: m["test"].update(error=float("nan"))),
        "test.error is nan",
    ),
    (
        "inf",
        lambda f: edit(f / "metrics.json", lambda m: m["test"].update(loss=float("inf"))),
        "test.loss is inf",
    ),
    ("high", lambda f: edit(f / "metrics.json", lambda m: m["test"].update(error=101)), "out of range"),
    ("low", lambda f: edit(f / "metrics.json", lambda m: m["test"].update(error=-1)), "out of range"),
    ("huge", lambda f: edit(f / "metrics.json", lambda m: m.update(parameters=10**400)), "out of range"),
    ("text", lambda f: edit(f / "metrics.json", lambda m: m["test"].update(error="4.0")), "is no number"),
    ("half", lambda f: edit(f / "metrics.json", lambda m: m.update(epochs=1.5)), "is no whole number"),
    ("no test", lambda f: edit(f / "metrics.json", lambda m: m.pop("test")), "test is missing"),
    ("no loss", lambda f: edit(f / "metrics.json", lambda m: m["test"].pop("loss")), "test.loss is missing"),
    (
        "top-5",
        lambda f: edit(f / "metrics.json", lambda m: m["test"].update(top5_error=9)),
        "above the error",
    ),
    ("validation", lambda f: edit(f / "metrics.json", lambda m: m.update(validation={})), "validation.error"),
    ("early", lambda f: edit(f / "metrics.json", lambda m: m.update(epochs=7)), "epoch 7 of 200"),
    (
        "best",
        lambda f: edit(f / "metrics.json", lambda m: m["test"].update(error=3.8)),
        "not the last epoch's",
    ),
    ("no manifest", lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
    ("no settings", lambda f: edit(f / "manifest.json", lambda m: m.pop("settings")), "settings are missing"),
    (
        "no hours",
        lambda f: edit(f / "manifest.json", lambda m: m.pop("wall_seconds")),
        "wall_seconds is missing",
    ),
    (
        "no versions",
        lambda f: edit(f / "manifest.json", lambda m: m.update(versions=1)),
        "versions is missing",
    ),
    ("no history", lambda f: (f / "history.csv").unlink(), "history.csv is missing"),
    ("short", lambda f: (f / "history.csv").write_text("epoch,test_error\n1,4.0\n"), "tells of 1 epochs"),
    ("bad history", lambda f: (f / "history.csv").write_text("epoch,test_error\n1,4.x\n"), "cannot be read"),
    ("empty error", lambda f: (f / "history.csv").write_text("test_error,\n" + ",1\n" * 200), "last epoch's"),
    ("no error", lambda f: (f / "history.csv").write_text("epoch,\n" + "1,1\n" * 200), "has no column test_error"),
    ("short row", lambda f: (f / "history.csv").write_text("epoch,test_error\n" + "1\n" * 200), "last epoch's"),
    ("nan history", lambda f: (f / "history.csv").write_text("test_error\n" + "nan\n" * 200), "last epoch's"),
]


@pytest.mark.attack("bad input: scales, experiments, recipes, claims, run folders, data")
@pytest.mark.parametrize(("change", "reason"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_a_bad_folder_is_listed_with_its_reason(
    change: Callable[[Path], object], reason: str, make_run: MakeRun, tmp_path: Path, paper_plan: Plan
) -> None:
    change(make_run(RUN, 4.0))
    make_run(Run(RUN.setting, 1), 4.1)
    evidence = gather(paper_plan, tmp_path)
    (bad,) = evidence.in_state(State.UNUSABLE)
    assert bad.run == RUN and reason in bad.reason and bad.metrics == {}
    assert str(tmp_path) not in bad.reason
    assert [record.run.seed for record in evidence.in_state(State.COMPLETE)] == [1]
    assert len(evidence.records) == len(paper_plan.runs)


def test_two_images_may_change_sides_between_two_evaluations(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(RUN, 4.0, metrics={"parameters": 1})
    edit(folder / "metrics.json", lambda m: m["test"].update(error=4.5, images=360))
    assert read_run(tmp_path, RUN).complete


def test_a_copied_folder_counts_once(make_run: MakeRun, tmp_path: Path, paper_plan: Plan) -> None:
    first = make_run(RUN, 4.0)
    second = first.with_name("seed1")
    shutil.copytree(first, second)
    edit(second / "metrics.json", lambda m: m.update(seed=1))
    edit(second / "manifest.json", lambda m: m["settings"].update(seed=1))
    evidence = gather(paper_plan, tmp_path)
    (copy,) = evidence.in_state(State.UNUSABLE)
    assert copy.run.seed == 1 and str(RUN) in copy.reason


def cell_of(plan: Plan, results: Path) -> CellEvidence:
    return gather(plan, results).cells["table1"][0]


def test_runs_unlike_each_other_are_flagged(make_run: MakeRun, tmp_path: Path, paper_plan: Plan) -> None:
    make_run(RUN, 4.0)
    make_run(Run(RUN.setting, 1), 4.1)
    assert cell_of(paper_plan, tmp_path).cautions == ()
    make_run(
        Run(RUN.setting, 1),
        4.1,
        manifest={"commit": "b" * 40, "dirty": True, "precision": "bf16"},
        settings={"padding": "reflect"},
    )
    found = cell_of(paper_plan, tmp_path)
    text = "\n".join(found.cautions)
    assert "mixes code" in text and "mixes precisions: bf16, fp32" in text
    assert "mixes settings of padding: reflect, zero" in text
    assert "uncommitted changes: seed 1" in text
    assert found.departures == ("seed 1 ran with padding reflect in place of zero",)


def test_no_results_at_all(paper_plan: Plan, tmp_path: Path) -> None:
    evidence = gather(paper_plan, tmp_path / "nowhere")
    assert len(evidence.in_state(State.ABSENT)) == len(paper_plan.runs)


def test_the_kind_of_an_experiment_is_checked(paper_plan: Plan) -> None:
    with pytest.raises(UserError, match="did you mean 'table1'"):
        find_experiment(paper_plan, "tabel1", "table")
    with pytest.raises(UserError, match="no experiment of kind 'similarity'"):
        find_experiment(paper_plan, "table1", "similarity")


def test_evidence_needs_no_torch() -> None:
    folder = Path(softshare.evidence.__file__).parent
    modules = sorted(".".join(file.relative_to(folder).with_suffix("").parts) for file in folder.rglob("[a-z]*.py"))
    assert {"verdict", "runs.gather", "claims.paths"} <= set(modules)
    lines = [
        *(f"import softshare.evidence.{name}" for name in modules),
        "import sys",
        "print('torch' in sys.modules)",
    ]
    found = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.attack("files that are, or say they are, far too large")
@pytest.mark.parametrize("name", ["metrics.json", "manifest.json", "history.csv"])
def test_a_terabyte_in_a_run_s_folder_is_not_read(name, tmp_path, make_run):
    run = load_plan("quick", ["table1"]).runs[0]
    with (make_run(run, 3.0, scale="quick") / name).open("wb") as file:
        file.truncate(1 << 40)  # of nothing: it takes no place on the disk
    record = read_run(tmp_path, run)
    assert record.state is State.UNUSABLE and name in record.reason and "cannot be read" in record.reason
