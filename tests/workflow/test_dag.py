"""The DAG: what it plans at each scale, what it says to bad input, and a whole small run of it."""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from softshare.plan import load_plan

ROOT = Path(__file__).parent.parent.parent


def snakemake(*arguments, folder=ROOT):
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=540)


def planned(result):
    return dict(re.findall(r"^(\w+) +(\d+)$", result.stdout + result.stderr, re.M))


@pytest.mark.parametrize(("scale", "runs"), [("paper", 70), ("compact", 27), ("quick", 23)])
def test_a_scale_plans_each_of_its_runs_once(scale, runs, tmp_path):
    result = snakemake("-n", "-F", "--config", f"scale={scale}", "--nolock")
    assert result.returncode == 0, result.stderr
    assert planned(result)["train"] == str(runs)
    text = result.stdout + result.stderr
    outputs = re.findall(rf"results/{scale}/runs/(\S+)/metrics\.json, ", text)
    listed = [name for name in outputs if text.count(f"{name}/history.csv")]
    assert {str(run) for run in load_plan(scale).runs} <= set(listed)
    for start in ("identity", "sparse", "normal", "uniform"):
        assert any(f"/cifar-{start}/" in name for name in listed)


def test_the_paper_s_table_1_is_ten_settings_of_five_seeds():
    runs = load_plan("paper", ["table1"]).runs
    assert len(runs) == 50 and {run.seed for run in runs} == set(range(5))
    assert {run.setting.dataset for run in runs} == {"cifar10", "cifar100"}
    assert {(run.setting.model, run.setting.recipe) for run in runs} == {
        ("wrn-28-10", "cifar"),
        ("wrn-28-10", "cifar-dropout"),
        ("swrn-28-10", "cifar"),
        ("swrn-28-10", "cifar-dropout"),
        ("swrn-28-10-1", "cifar"),
    }


def test_appendix_b_is_four_starts_beside_table_1():
    runs = load_plan("paper", ["appendix-b"]).runs
    assert len(runs) == 25 and {run.seed for run in runs} == set(range(5))
    assert {(run.setting.dataset, run.setting.model) for run in runs} == {("cifar10", "swrn-28-10")}
    assert len(set(runs) - set(load_plan("paper", ["table1"]).runs)) == 20


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("scale=papr", "scale: 'papr': unknown scale; did you mean 'paper'?"),
        ("scal=paper", "config/config.yaml: scal: 'paper': unknown key; did you mean 'scale'?"),
        ("experiments=['tabel1']", "experiments: 'tabel1': unknown experiment; did you mean 'table1'?"),
        ("device=gpu", "config/config.yaml: device"),
        ("precision=fp8", "config/config.yaml: precision: 'fp8': unknown value"),
        ("data={'cifar': 'x'}", "config/config.yaml: data.cifar: 'x': unknown key; did you mean 'cifar10'?"),
    ],
)
def test_bad_configuration_is_one_clear_line(setting, said):
    result = snakemake("-n", "--config", setting)
    assert result.returncode != 0
    assert said in result.stdout + result.stderr, result.stdout + result.stderr


@pytest.fixture
def project(tmp_path):
    """A copy of the project with a scale that takes seconds."""
    for name in ("Snakefile", "config", "workflow", "reports", "envs", "profiles", "softshare"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    (tmp_path / "config/scales/tiny.yaml").write_text(
        "description: One epoch of a small network on digits.\n"
        "seeds: [0]\nthreads: 1\nminutes_per_run: 1\ndatasets: {cifar10: digits}\n"
        "models: {wrn-28-10: wrn-16-1, swrn-28-10: swrn-16-1, swrn-28-10-1: swrn-16-1-1}\n"
        "training: {epochs: 1}\n"
    )
    return tmp_path


def test_a_recipe_that_cannot_be_is_one_clear_line(project):
    (project / "config/recipes/cifar-sparse.yaml").write_text("extends: cifr\nsettings: {coefficients: sparse}\n")
    result = snakemake("-n", "--config", "scale=tiny", folder=project)
    assert result.returncode != 0
    said = "cifar-sparse.yaml: extends: 'cifr': unknown recipe; did you mean 'cifar'?"
    assert said in result.stdout + result.stderr, result.stdout + result.stderr


@pytest.mark.slow
def test_from_nothing_to_the_report_and_no_further(project):
    result = snakemake("--config", "scale=tiny", "device=cpu", folder=project)
    assert result.returncode == 0, result.stdout + result.stderr
    results = project / "results/tiny"
    rows = list(csv.DictReader((results / "tables/table1.csv").open()))
    assert len(rows) == 10
    starts = list(csv.DictReader((results / "tables/appendix-b.csv").open()))
    assert [row["verdict"] for row in starts] == ["no number in the paper"] * 5
    assert len({row["mean"] for row in starts}) > 1 and starts[1]["compared_pairs"] == "1"
    report = (results / "report.md").read_text()
    assert "not comparable" in report and "not run" in report and "figures/lsm.png" in report
    for link in re.findall(r"\]\(([^)]+)\)", report):
        assert (results / link).exists(), link
    again = snakemake("--config", "scale=tiny", "device=cpu", folder=project)
    assert "Nothing to be done" in again.stdout + again.stderr
    looked_at = snakemake("-n", "-R", "dataset", "--config", "scale=tiny", "device=cpu", folder=project)
    assert planned(looked_at).get("dataset") == "1" and "train" not in planned(looked_at)
    lost = results / "runs/digits/wrn-16-1/cifar/seed0/metrics.json"
    lost.unlink()
    wanted = lost.relative_to(project).as_posix()
    third = snakemake("-n", wanted, "--config", "scale=tiny", "device=cpu", folder=project)
    assert planned(third)["train"] == "1"
    scale = project / "config/scales/tiny.yaml"
    scale.write_text(scale.read_text().replace("epochs: 1", "epochs: 2"))
    fourth = snakemake("-n", "--config", "scale=tiny", "device=cpu", folder=project)
    assert planned(fourth)["train"] == "9"  # a changed setting makes its runs anew
