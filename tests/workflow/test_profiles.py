"""Profiles: what each plans, and one line for what a machine or a site lacks."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
TABLE = "results/quick/tables/table1.md"
PROFILES = ("default", "slurm", "kubernetes")


def snakemake(*arguments, folder=ROOT, target=TABLE, **variables):
    command = [sys.executable, "-m", "snakemake", target, *arguments]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


def profile(name):
    return yaml.safe_load((ROOT / f"profiles/{name}/config.yaml").read_text())


@pytest.fixture
def project(tmp_path):
    """A copy of the project in which something may be refused, and nothing is locked."""
    for part in ("Snakefile", "config", "workflow", "reports", "envs", "profiles", "softshare"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, tmp_path / part)
    return tmp_path


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_goes_on_where_it_can(name):
    assert profile(name)["rerun-incomplete"] is True and profile(name)["keep-going"] is True
    assert profile(name).get("retries", 0) == {"default": 1, "slurm": 3, "kubernetes": 3}[name]


def test_here_one_job_runs_on_the_gpu():
    assert profile("default")["resources"] == ["gpu=1"]


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_what_a_site_sets_stands_there_as_yaml(name):
    """With its SITE lines taken up, a profile is still one."""
    text = (ROOT / f"profiles/{name}/config.yaml").read_text()
    taken_up = re.sub(r"^( *)# ( *[a-z][\w-]*:.*)$", r"\1\2", text, flags=re.M)
    content = yaml.safe_load(taken_up)
    assert content.keys() > profile(name).keys()
    assert set(content["set-resources"]) == {"train", "train_paths", "fold"}
    assert text.count("SITE") >= 4


def test_a_slurm_cluster_s_jobs_ask_for_what_they_need():
    code, said = snakemake("-n", "-F", "--nolock", "--workflow-profile", "profiles/slurm", "--config", "loader=tensor")
    assert code == 0, said
    asked = {}
    for rule, resources in re.findall(r"^rule (\w+):\n.*?^    resources: (.*?)$", said, re.M | re.S):
        asked.setdefault(rule, dict(pair.split("=") for pair in resources.split(", ") if "=" in pair))
    assert set(asked) == {"dataset", "train", "table"}
    for rule, resources in asked.items():
        assert resources.keys() >= {"mem_mb", "runtime", "disk_mb", "gpu"}, rule
    # Of the profile's site.yaml: jobs of a Slurm cluster compute on its GPUs, wherever they are submitted from.
    assert [asked[rule]["gpu"] for rule in ("dataset", "train", "table")] == ["0", "1", "0"]
    assert asked["train"]["mem_mb"] == "8000" and asked["train"]["runtime"] == "12"
    assert asked["table"]["mem_mb"] == "2000" and asked["table"]["runtime"] == "15"


def test_the_slurm_profile_without_slurm(project, path_without):
    path = path_without("sbatch", "squeue", "sinfo", "scontrol", "sacct", "scancel")
    code, said = snakemake("--workflow-profile", "profiles/slurm", folder=project, PATH=path)
    assert code != 0
    line = "profiles/slurm/config.yaml: no sbatch on the PATH: there is no Slurm here; start on a login node"
    assert line in said, said


def test_the_kubernetes_profile_without_a_place_for_results(project):
    code, said = snakemake("--workflow-profile", "profiles/kubernetes", folder=project)
    assert code != 0
    line = "profiles/kubernetes/config.yaml: default-storage-provider: not set, and the nodes share no files; name the"
    assert line in said, said


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU here")
def test_a_gpu_asked_for_and_none_here(project):
    code, said = snakemake("--cores", "1", "--config", "device=cuda", folder=project)
    assert code != 0
    assert "config/config.yaml: device: 'cuda': there is no NVIDIA GPU here; set device to auto or cpu" in said, said
    assert not (project / "results/data").exists()


def test_data_that_do_not_lie_here(project):
    data = "data={'cifar10': '/shared/data/cifar'}"
    target = "results/compact/tables/table1.md"
    code, said = snakemake(
        "--cores", "1", "--config", "device=cpu", "scale=compact", data, folder=project, target=target
    )
    assert code != 0
    assert "data.cifar10: '/shared/data/cifar': does not lie on this machine" in said, said


def test_data_that_no_job_reads_need_not_lie_here(project):
    cut = "print('all that a job would do'); raise SystemExit(3)"
    (project / "softshare/__main__.py").write_text(cut)
    data = "data={'cifar10': '/shared/data/cifar'}"
    code, said = snakemake("--cores", "1", "--config", "device=cpu", data, folder=project)
    assert code != 0 and "does not lie on this machine" not in said and "Error in rule dataset" in said, said


def test_the_workflow_catalogue_is_told_how_to_deploy():
    catalogue = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())
    assert catalogue["usage"]["software-stack-deployment"]["conda"] is True
    assert catalogue["usage"]["report"] is True
    assert (ROOT / "config/README.md").exists()
