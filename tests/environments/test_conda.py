"""`--use-conda`, offline: every rule runs in its own environment of envs/, and each job's log names it.

A stand-in for conda (`standin/`) makes the environments. What it cannot show is conda-forge's own solving.
"""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SCALE = """\
description: One epoch of a small network on digits, and of three layers on small grids.
seeds: [0]
threads: 1
minutes_per_run: 1
datasets: {cifar10: digits, shortest-paths: shortest-paths}
models: {swrn-28-10: swrn-16-1, swrn-28-10-4: swrn-16-1, cnn-20: cnn-3}
training: {epochs: 1}
shortest_paths: {seeds: [0], training: {side: 8, windows: [3, 5], train: 16, test: 8, epochs: 1}}
"""
# Which rule's log should tell which environment.
ENVIRONMENT_OF = {
    "data": "train",
    "train": "train",
    "fold": "train",
    "tables": "report",
    "figures": "report",
    "claims.log": "report",
    "report.log": "report",
}


def snakemake(folder, *arguments, **variables):
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    environment = {**os.environ, **variables}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=540)


def test_without_conda_on_the_path_it_says_so(path_without):
    result = snakemake(ROOT, "-n", "--use-conda", "--nolock", PATH=path_without("conda"))
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert "--use-conda: there is no conda on the PATH; install Miniforge, or leave the flag out" in said, said


@pytest.mark.long
def test_every_rule_runs_in_its_environment_and_its_log_says_which(tmp_path, conda):
    for part in ("Snakefile", "config", "workflow", "reports", "envs", "profiles", "softshare"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, tmp_path / part)
    (tmp_path / "config/scales/tiny.yaml").write_text(SCALE)
    names = ["table1", "figure4", "figure5"]
    asked = ["--config", "scale=tiny", "device=cpu", f"experiments={names}"]
    result = snakemake(tmp_path, "--use-conda", *asked, **conda)
    assert result.returncode == 0, result.stdout + result.stderr
    logs = sorted(tmp_path.glob("results/**/*.log"))
    told = {}
    for log in logs:
        first = log.read_text().splitlines()[0]
        match = re.fullmatch(r"environment: ([\w-]+) \((.*)\)", first)
        assert match, f"{log}: {first}"
        kind = next(part for part in log.relative_to(tmp_path).parts if part in ENVIRONMENT_OF)
        assert match[1] == ENVIRONMENT_OF[kind], log
        assert Path(match[2]).parent == tmp_path / ".snakemake/conda", log
        told.setdefault(match[1], set()).add(match[2])
    assert {name: len(prefixes) for name, prefixes in told.items()} == {"train": 1, "report": 1}
    jobs = int(re.findall(r"^total +(\d+)$", result.stdout + result.stderr, re.M)[0])
    assert len(logs) == jobs - 1  # all but the target
    [report] = told["report"]
    torch = subprocess.run([f"{report}/bin/python", "-c", "import torch"], capture_output=True, text=True)
    assert "No module named 'torch'" in torch.stderr
    rows = list(csv.DictReader((tmp_path / "results/tiny/tables/table1.csv").open()))
    assert any(row["mean"] for row in rows)
    again = snakemake(tmp_path, "--use-conda", *asked, **conda)
    assert "Nothing to be done" in again.stdout + again.stderr


# A Python for Snakemake in which no FFCV is found: what counts is the environment of the jobs.
WITHOUT_FFCV = """\
import importlib.util
import runpy
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "ffcv" else find(name, *more)
runpy.run_module("snakemake", run_name="__main__")
"""
WITH_FFCV = WITHOUT_FFCV.replace("None if", "find('json') if")


@pytest.mark.long
@pytest.mark.parametrize("code", [WITHOUT_FFCV, WITH_FFCV])
@pytest.mark.parametrize(
    ("device", "loader", "written"),
    [("cuda", "auto", True), ("cuda", "tensor", False), ("cpu", "auto", False), ("cpu", "ffcv", True)],
)
def test_under_conda_the_jobs_environment_tells_whether_there_is_ffcv(code, device, loader, written, conda):
    config = ["--config", f"device={device}", f"loader={loader}", "experiments=[table1]", "scale=quick"]
    command = [sys.executable, "-c", code, "-n", "-F", "--cores", "2", "--nolock", "--use-conda", *config]
    result = subprocess.run(command, cwd=ROOT, env={**os.environ, **conda}, capture_output=True, text=True, timeout=300)
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert ("dataset_for_ffcv" in said) is written, said


@pytest.mark.parametrize(
    ("device", "loader", "computing"),
    [
        ("cpu", "auto", "envs/train.yaml"),
        ("cuda", "auto", "envs/train-gpu.yaml"),
        pytest.param("cpu", "ffcv", "envs/train-gpu.yaml", marks=pytest.mark.long),
    ],
)
def test_what_computes_on_a_gpu_has_the_environment_with_ffcv(device, loader, computing, conda):
    asked = ["--use-conda", "--list-conda-envs", "--nolock", "--config", f"device={device}", "scale=paper"]
    asked.append(f"loader={loader}")
    result = snakemake(ROOT, *asked, **conda)
    assert result.returncode == 0, result.stdout + result.stderr
    assert set(re.findall(r"^\S*(envs/\S+\.yaml)", result.stdout, re.M)) == {
        computing,
        "envs/train.yaml",
        "envs/report.yaml",
    }
