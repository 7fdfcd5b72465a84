"""Shortest paths in the DAG: what is planned, and a whole small run to Figure 5."""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FIGURE = "results/{}/figures/figure5.svg"


def snakemake(*arguments, folder=ROOT):
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=540)


def planned(result):
    return dict(re.findall(r"^(\w+) +(\d+)$", result.stdout + result.stderr, re.M))


@pytest.mark.parametrize(("scale", "runs"), [("paper", 12), ("compact", 35), ("quick", 8)])
def test_figure_5_asks_for_its_runs_and_for_no_dataset(scale, runs):
    result = snakemake("-n", "-F", FIGURE.format(scale), "--config", f"scale={scale}", "--nolock")
    assert result.returncode == 0, result.stderr
    assert planned(result) == {"train_paths": str(runs), "figure": "1", "total": str(runs + 1)}


@pytest.fixture
def project(tmp_path):
    """A copy of the project with a scale that takes seconds."""
    for name in ("Snakefile", "config", "workflow", "reports", "envs", "profiles", "softshare"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    (tmp_path / "config/scales/tiny.yaml").write_text(
        "description: Two epochs of three layers on small grids.\n"
        "seeds: [0, 1]\nthreads: 1\nminutes_per_run: 1\ndatasets: {shortest-paths: shortest-paths}\n"
        "models: {cnn-20: cnn-3, scnn-20: scnn-3}\ntraining: {}\n"
        "shortest_paths: {seeds: [3], training: {side: 8, windows: [3, 5], train: 16, test: 8, epochs: 2}}\n"
    )
    return tmp_path


@pytest.mark.slow
def test_from_nothing_to_figure_5_and_no_further(project):
    wanted = [FIGURE.format("tiny"), "results/tiny/tables/figure5.md"]
    config = ["--config", "scale=tiny", "device=cpu"]
    result = snakemake(*wanted, *config, folder=project)
    assert result.returncode == 0, result.stdout + result.stderr
    results = project / "results/tiny"
    rows = list(csv.DictReader((results / "figures/figure5.csv").open()))
    assert {row["run"] for row in rows} == {
        f"shortest-paths/{run}/seed3" for run in ("cnn-3/paths", "scnn-3/paths", "scnn-3/paths-recurrent")
    }
    assert "RNN: not run at this scale" in (results / "figures/figure5.svg").read_text()
    table = list(csv.DictReader((results / "tables/figure5.csv").open()))
    assert len(table) == 3 * 4 + 1
    again = snakemake(*wanted, *config, folder=project)
    assert "Nothing to be done" in again.stdout + again.stderr
    scale = project / "config/scales/tiny.yaml"
    scale.write_text(scale.read_text().replace("epochs: 2", "epochs: 3"))
    changed = snakemake("-n", *wanted, *config, folder=project)
    assert planned(changed)["train_paths"] == "3"  # a changed setting makes its runs anew
