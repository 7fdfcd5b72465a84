"""Shortest paths in the DAG: what is planned, and a whole small run to Figure 5."""

import csv
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
TINY = (
    "description: Two epochs of three layers on small grids.\n"
    "seeds: [0, 1]\nthreads: 1\nminutes_per_run: 1\ndatasets: {shortest-paths: shortest-paths}\n"
    "models: {cnn-20: cnn-3, scnn-20: scnn-3}\ntraining: {}\n"
    "shortest_paths: {seeds: [3], training: {side: 8, windows: [3, 5], train: 16, test: 8, epochs: 2}}\n"
)
FIGURE = "results/{}/figures/figure5.svg"


@pytest.mark.parametrize(("scale", "runs"), [("paper", 35), ("compact", 35), ("quick", 8)])
def test_figure_5_asks_for_its_runs_and_for_no_dataset(scale, runs, snakemake, planned):
    result = snakemake("-n", "-F", FIGURE.format(scale), "--config", f"scale={scale}", "--nolock")
    assert result.returncode == 0, result.stderr
    assert planned(result) == {"train_paths": str(runs), "figure": "1", "total": str(runs + 1)}


def test_the_readme_names_the_target_of_figure_5():
    (line,) = (line for line in (ROOT / "README.md").read_text().splitlines() if FIGURE.format("quick") in line)
    assert line.startswith("snakemake --cores all ") and "eight" in line  # as planned above


def test_a_scale_s_windows_that_leave_its_grid_are_told_before_the_first_job(project, snakemake):
    scale = project / "config/scales/tiny.yaml"
    scale.write_text(TINY.replace("side: 8, windows: [3, 5]", "side: 16"))
    result = snakemake("-n", "--config", "scale=tiny", folder=project)
    assert result.returncode != 0
    said = "tiny.yaml with recipe paths: windows: 17: is larger than side: 16"
    assert said in result.stdout + result.stderr, result.stdout + result.stderr


def test_differences_come_with_the_tables_that_ask_for_them(snakemake, planned, project):
    names = ("figure5-differences.csv", "paths-batch-size-differences.csv", "paths-statistics.md")
    wanted = [f"results/compact/tables/{name}" for name in names]
    result = snakemake("-n", "-F", *wanted, "--config", "scale=compact", "--nolock")
    assert result.returncode == 0, result.stderr
    made = {"train_paths": str(47 + 15), "path_table_with_differences": "3"}
    assert planned(result) == made | {"total": str(47 + 15 + 3)}

    experiment = project / "config/experiments/paths-batch-size.yaml"
    asks_for_none = yaml.safe_load(experiment.read_text())
    del asks_for_none["differences"]
    experiment.write_text(yaml.safe_dump(asks_for_none, sort_keys=False))
    wanted = [*wanted[:1], "results/compact/tables/paths-batch-size.csv"]
    result = snakemake("-n", "-F", *wanted, "--config", "scale=compact", folder=project)
    assert result.returncode == 0, result.stderr
    made = {"train_paths": str(35 + 12), "path_table": "1", "path_table_with_differences": "1"}
    assert planned(result) == made | {"total": str(35 + 12 + 2)}


@pytest.mark.long
def test_from_nothing_to_figure_5_and_no_further(project, built, snakemake, planned):
    wanted = [FIGURE.format("tiny"), "results/tiny/tables/figure5.md"]
    config = ["--config", "scale=tiny", "device=cpu"]
    results = built(*wanted, *config)
    rows = list(csv.DictReader((results / "figures/figure5.csv").open()))
    assert {row["run"] for row in rows} == {
        f"shortest-paths/{run}/seed3" for run in ("cnn-3/paths", "scnn-3/paths", "scnn-3/paths-recurrent")
    }
    assert "RNN: not run at this scale" in (results / "figures/figure5.svg").read_text()
    table = list(csv.DictReader((results / "tables/figure5.csv").open()))
    assert len(table) == 3 * 4 + 1
    scale = project / "config/scales/tiny.yaml"
    scale.write_text(scale.read_text().replace("epochs: 2", "epochs: 3"))
    changed = snakemake("-n", *wanted, *config, folder=project)
    assert planned(changed)["train_paths"] == "3"  # a changed setting makes its runs anew
