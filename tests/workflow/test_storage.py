"""Results in an object store, as the Kubernetes profile wants it: planned and made through local copies alone.

A folder stands in for the store (`bucket/`). No pod is started: jobs run here, in Snakemake's mode for no shared files.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BUCKET = Path(__file__).parent / "bucket"
CHOSEN = ["table1", "figure4"]

TINY = (
    "description: One epoch of a small network on digits.\n"
    "seeds: [0]\nthreads: 1\nminutes_per_run: 1\ndatasets: {cifar10: digits}\n"
    "models: {wrn-28-10: wrn-10-1, swrn-28-10-4: swrn-16-1-2}\n"
    "training: {epochs: 1}\n"
)


@pytest.fixture
def stored(project):
    """Calls Snakemake in the copy of the project, with its results in a store."""

    def call(*arguments, experiments=CHOSEN, loader="auto"):
        storage = ["--default-storage-provider", "bucket", "--default-storage-prefix", f"bucket:/{project}/store"]
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--shared-fs-usage", "none", *storage, *arguments]
        command += ["--config", "scale=tiny", "device=cpu", f"experiments={experiments}", f"loader={loader}"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(project), str(BUCKET)))}
        done = subprocess.run(
            command,
            cwd=project,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=540,
        )
        return done.returncode, done.stdout

    return call


def content(folder):
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_files_of_the_project_are_not_looked_for_in_the_store(stored):
    everything = ["table1", "table2", "figure3", "figure4", "figure5", "figure7", "figure8"]
    code, said = stored("-n", experiments=everything)
    assert code == 0, said
    assert "reports/paper/table1.yaml" in said and "store/reports" not in said


def test_a_dataset_s_file_that_lies_here_is_not_in_the_store(stored, project):
    here = project / "results/data"
    here.mkdir(parents=True)
    (here / "digits.json").write_text("{}")
    code, said = stored("-n")
    assert code == 0, said
    assert re.search(r"^dataset +1$", said, re.M), said


def test_a_file_of_ffcv_that_no_job_would_be_brought_is_refused_in_one_line(stored):
    code, said = stored("-n", loader="ffcv")
    assert code != 0 and "config/config.yaml: loader: 'ffcv': its file is not brought to jobs" in said, said


@pytest.mark.long
def test_what_is_made_through_a_store_is_what_is_made_without(stored, project):
    code, said = stored()
    assert code == 0, said
    assert not (project / "results/tiny").exists()
    code, said = stored("-n")
    assert code == 0 and "Nothing to be done" in said, said
    made, here = project / "store/results/tiny", project / "results/tiny"
    shutil.copytree(made / "runs", here / "runs")
    command = [sys.executable, "-m", "softshare", "report", "--everything", "--scale", "tiny", "--experiments", *CHOSEN]
    subprocess.run(command, cwd=project, env=os.environ | {"PYTHONPATH": str(project)}, check=True, timeout=300)
    stored_files = {name: data for name, data in content(made).items() if name.parts[0] not in ("logs", "benchmarks")}
    assert stored_files == content(here)
    lost, kept = (
        f"results/tiny/runs/digits/wrn-10-1/{recipe}/seed0/metrics.json" for recipe in ("cifar-dropout", "cifar")
    )
    for file in (lost, "results/data/digits.json"):
        (project / "store" / file).unlink()
    code, said = stored(lost, kept)
    assert code != 0 and not (project / "store" / lost).exists() and (project / "store" / kept).exists()
    assert "results/data/digits.json: is missing, and with it complete runs would be made again; make it alone" in said
