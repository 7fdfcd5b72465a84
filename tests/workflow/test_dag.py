"""The DAG: what it plans at each scale, what it says to bad input, and a whole small run of it."""

import base64
import csv
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from softshare.data.beton import read_beton
from softshare.data.images import load_images
from softshare.plan import load_plan

ROOT = Path(__file__).parent.parent.parent

TINY = (
    "description: One epoch of a small network on digits.\n"
    "seeds: [0]\nthreads: 1\nminutes_per_run: 1\ndatasets: {cifar10: digits}\n"
    "models: {wrn-28-10: wrn-16-1, swrn-28-10: swrn-16-1, swrn-28-10-1: swrn-16-1-1, swrn-28-10-4: swrn-22-1-2}\n"
    "training: {epochs: 1}\n"
)

# Of the paper but the shortest paths: tables, figures, and how many runs are trained and folded.
PAPER = ["table1", "table2", "table3", "table4", "figure3", "figure4", "figure6", "figure7", "figure8", "appendix-b"]


@pytest.mark.parametrize(("scale", "runs", "folds"), [("paper", 192, 10), ("compact", 31, 6), ("quick", 31, 3)])
def test_a_scale_plans_each_of_its_runs_once(scale, runs, folds, tmp_path, snakemake, planned):
    result = snakemake("-n", "-F", "--config", f"scale={scale}", f"experiments={PAPER}", "--nolock")
    assert result.returncode == 0, result.stderr
    counts = planned(result)
    assert (counts["train"], counts["fold"]) == (str(runs), str(folds))
    assert (counts["table"], counts["figure"], counts["report"]) == ("5", "5", "1")
    text = result.stdout + result.stderr
    outputs = re.findall(rf"^    output: results/{scale}/runs/(\S+)/metrics\.json, ", text, re.M)
    assert sorted(outputs) == sorted(str(run) for run in load_plan(scale, PAPER).runs)
    folded = re.findall(rf"^    output: results/{scale}/runs/(\S+)/folding/folding\.json, ", text, re.M)
    wanted = {str(run) for name in ("figure4", "figure6") for run in load_plan(scale, [name]).runs}
    assert sorted(folded) == sorted(wanted)
    assert len([run for run in outputs if run.startswith("imagenet/")]) == (6 if scale == "paper" else 0)


def test_ffcv_s_file_is_made_where_it_is_loaded_and_no_input_of_a_run(snakemake, planned):
    result = snakemake("-n", "-F", "--config", "loader=ffcv", "experiments=['table1']", "--nolock")
    assert result.returncode == 0, result.stderr
    counts = planned(result)
    assert counts["dataset_for_ffcv"] == "1" and "dataset" not in counts
    inputs = re.findall(r"^    input: (.*)", result.stdout + result.stderr, re.M)
    made = [line for line in inputs if ".beton" in line]
    assert made and all("report.md" in line for line in made)  # the rule `all` alone asks for it


def test_how_photographs_are_stored_is_asked_for(snakemake):
    asked = ["-n", "-p", "results/data/imagenet.beton", "--nolock", "--config", "scale=paper", "loader=ffcv"]
    result = snakemake(*asked, "photograph_file={side: 400, jpeg_share: 0.5, jpeg_quality: 80}")
    assert result.returncode == 0, result.stderr
    assert "data write imagenet --cache results/data/cache --quiet --side 400 --jpeg-share 0.5 --jpeg-quality 80" in (
        result.stdout + result.stderr
    )
    result = snakemake(*asked, "photograph_file={side: 400, jpeg_share: 1.5, jpeg_quality: 90}")
    assert result.returncode != 0 and "config.yaml: photograph_file.jpeg_share" in result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ffcv") is None, reason="FFCV is not installed (make ffcv)")
def test_ffcv_s_file_is_written_and_checked(project, snakemake):
    made = snakemake("results/data/digits.beton", "--config", "loader=ffcv", folder=project)
    assert made.returncode == 0, made.stdout + made.stderr
    images = load_images("digits", cache=project / "results/data/cache")
    written = read_beton(project / "results/data/digits.beton", "digits", images.fingerprint)
    assert written.labels.tolist() == [*images.train_labels.tolist(), *images.test_labels.tolist()]


def test_an_experiment_with_nothing_to_run_is_still_built(snakemake, planned):
    result = snakemake("-n", "-F", "--config", "scale=compact", "experiments=['table3']", "--nolock")
    assert result.returncode == 0, result.stderr
    counts = planned(result)
    assert counts["table"] == counts["report"] == "1" and not {"train", "fold", "dataset"} & counts.keys()


def test_planning_imports_no_torch():
    command = [sys.executable, "-X", "importtime", "-m", "snakemake", "-n", "--cores", "2", "--config", "scale=paper"]
    result = subprocess.run([*command, "--nolock"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout
    modules = {line.rpartition("|")[2].strip().split(".")[0] for line in result.stderr.splitlines()}
    assert "softshare" in modules and not modules & {"torch", "torchvision", "timm"}


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
        ("folding={'threshold': 2}", "config/config.yaml: folding.threshold: '2' does not match"),
        ("folding={'thresholds': '0.5:1'}", "config/config.yaml: folding.thresholds: '0.5:1' does not match"),
        ("folding={'treshold': 0.7}", "folding.treshold: '0.7': unknown key; did you mean 'threshold'?"),
        (
            "precision=fp16",
            "config/config.yaml: precision: 'fp16': is for GPUs alone; set it to auto, fp32 or bf16, or",
        ),
        ("precision=fp8", "config/config.yaml: precision: 'fp8': unknown value"),
        ("gpus={'imagnet': 2}", "config/config.yaml: gpus.imagnet: '2': unknown key; did you mean 'imagenet'?"),
        ("data={'cifar': 'x'}", "config/config.yaml: data.cifar: 'x': unknown key; did you mean 'cifar10'?"),
    ],
)
def test_bad_configuration_is_one_clear_line(setting, said, snakemake):
    result = snakemake("-n", "--config", setting)
    assert result.returncode != 0
    assert said in result.stdout + result.stderr, result.stdout + result.stderr


def test_thresholds_may_be_given_on_the_command_line(snakemake):
    result = snakemake("-n", "-F", "-p", "--config", "folding={'threshold': 0.7, 'reestimate_on': 0}", "--nolock")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "--threshold 0.7 --thresholds 0.5:1.0:0.05 --reestimate-on 0 " in result.stdout + result.stderr


def test_a_recipe_that_cannot_be_is_one_clear_line(project, snakemake):
    (project / "config/recipes/cifar-sparse.yaml").write_text("extends: cifr\nsettings: {coefficients: sparse}\n")
    result = snakemake("-n", "--config", "scale=tiny", folder=project)
    assert result.returncode != 0
    said = "cifar-sparse.yaml: extends: 'cifr': unknown recipe; did you mean 'cifar'?"
    assert said in result.stdout + result.stderr, result.stdout + result.stderr


def test_a_table_without_the_paper_s_numbers_is_one_clear_line(project, snakemake):
    (project / "reports/paper/table2.yaml").unlink()
    result = snakemake("-n", "--config", "scale=tiny", "experiments=['table2']", folder=project)
    assert result.returncode != 0
    said = "reports/paper/table2.yaml: is missing, and experiment 'table2' holds its runs against what stands there"
    assert said in result.stdout + result.stderr, result.stdout + result.stderr


def mark_as_begun(project, file):
    (project / ".snakemake/incomplete" / base64.b64encode(file.encode()).decode()).touch()


def rule_text(project):
    return (project / "workflow/rules/train.smk").read_text()


@pytest.mark.slow
def test_a_report_made_before_the_end_does_not_hide_what_is_not_run(project, snakemake, planned):
    asked = ["--config", "scale=tiny", "device=cpu", "experiments=['table1']"]
    before = planned(snakemake("-n", *asked, folder=project))
    assert before["train"] == "5"
    told = [sys.executable, "-m", "softshare", "report", "--everything", "--scale", "tiny", "--experiments", "table1"]
    made = subprocess.run(
        told, cwd=project, env=os.environ | {"PYTHONPATH": str(project)}, capture_output=True, text=True
    )
    assert made.returncode == 0 and (project / "results/tiny/report.md").is_file(), made.stderr
    assert planned(snakemake("-n", *asked, folder=project))["train"] == before["train"]


@pytest.mark.long
def test_from_nothing_to_the_report_and_no_further(project, built, snakemake, planned):
    names = ["table1", "table3", "figure3", "figure4", "figure8"]
    asked = ["--config", "scale=tiny", "device=cpu", f"experiments={names}"]
    results = built(*asked)
    rows = list(csv.DictReader((results / "tables/table1.csv").open()))
    assert len(rows) == 10
    assert [row["verdict"] for row in rows] == ["not comparable", "not run"] * 5
    assert len({row["mean"] for row in rows if row["mean"]}) > 1
    points = [row for row in csv.DictReader((results / "figures/figure3.csv").open()) if row["mean"]]
    assert [row["run"] for row in points] == [
        "digits/wrn-16-1/cifar-dropout",
        "digits/wrn-16-1/cifar",
        "digits/swrn-16-1/cifar",
        "digits/swrn-16-1-1/cifar",
        "digits/swrn-16-1/cifar-dropout",
    ]
    costs = list(csv.DictReader((results / "figures/figure4.csv").open()))
    assert [row["threshold"] for row in costs][:3] == ["", "0.5", "0.55"]
    assert [row["stages"] for row in costs] == ["all"] * 12 + ["stage1", "stage2", "stage3"]
    report = (results / "report.md").read_text()
    assert "not comparable" in report and "not run" in report and "figures/figure4.png" in report
    for link in re.findall(r"\]\(([^)]+)\)", report):
        assert (results / link).exists(), link
    named = [word if word != "device=cpu" else "device=auto" for word in asked]
    for precision in ("fp32", "bf16"):  # named now, they are those of new runs
        later = snakemake("-n", *named, f"precision={precision}", folder=project)
        said = later.stdout + later.stderr
        assert "Nothing to be done" in said
        assert ("complete runs stay as they are, 6 in fp32" in said) is (precision == "bf16")
    lost = results / "runs/digits/wrn-16-1/cifar/seed0/metrics.json"
    lost.unlink()
    wanted = [lost.relative_to(project).as_posix(), "results/tiny/runs/digits/swrn-16-1/cifar/seed0/metrics.json"]
    mark_as_begun(project, "results/data/digits.json")  # as a Snakemake that was killed leaves it
    third = snakemake("-n", *wanted, *asked, folder=project)
    assert planned(third) == {"train": "1", "total": "1"}
    data = (project / "results/data/digits.json").rename(project / "elsewhere.json")
    refused = snakemake(*wanted, *asked, folder=project)
    assert refused.returncode != 0 and not lost.exists() and (project / wanted[1]).is_file()
    said = "results/data/digits.json: is missing, and with it complete runs would be made again; make it alone first"
    assert said in refused.stdout + refused.stderr
    data.rename(project / "results/data/digits.json")
    rule, kept = project / "workflow/rules/train.smk", rule_text(project)
    rule.write_text(kept.replace(" --cache results", "  --cache results"))
    refused = snakemake(wanted[1], *asked, folder=project)
    assert refused.returncode != 0 and (project / wanted[1]).is_file()
    said = f"{wanted[1].rpartition('/')[0]}/metrics.json: is complete, and would be trained again since the rule's text"
    assert said in refused.stdout + refused.stderr
    later = snakemake(wanted[1], "--rerun-triggers", "mtime", *asked, folder=project)
    assert "Nothing to be done" in later.stdout + later.stderr
    rule.write_text(kept)
    config = project / "config/config.yaml"
    config.write_text(config.read_text().replace("threshold: 0.8", "threshold: 0.7"))
    fifth = snakemake("-n", "results/tiny/figures/figure4.svg", *asked, folder=project)
    assert planned(fifth) == {"figure": "1", "fold": "1", "total": "2"}  # folded anew, not trained anew
    scale = project / "config/scales/tiny.yaml"
    scale.write_text(scale.read_text().replace("epochs: 1", "epochs: 2"))
    fourth = snakemake("-n", *asked, folder=project)
    assert planned(fourth)["train"] == "6"  # a changed setting makes its runs anew
