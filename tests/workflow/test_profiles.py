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


def test_a_slurm_cluster_s_jobs_ask_for_what_they_need(project):
    asked = ["-n", "--workflow-profile", "profiles/slurm", "--config", "loader=tensor"]
    code, said = snakemake(*asked, folder=project)
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


@pytest.fixture
def refusing_slurm(tmp_path):
    """A Slurm whose partition gives a job half an hour, and which refuses every job after noting what it asked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    said = {
        "sinfo": "echo 'gpu*|gpu:4|30:00'",
        "sbatch": f"printf '%s\\n' \"$*\" >> '{tmp_path}/asked'; exit 1",
        "squeue": "",
        "sacct": "",
    }
    for name, lines in said.items():
        (folder / name).write_text(f"#!/bin/sh\n{lines}\n")
        (folder / name).chmod(0o755)
    return folder, tmp_path / "asked"


@pytest.mark.long
def test_each_retry_asks_slurm_for_more_up_to_what_a_job_is_given(project, refusing_slurm):
    commands, asked = refusing_slurm
    arguments = ["--workflow-profile", "profiles/slurm", "--config", "loader=tensor"]
    variables = {"folder": project, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}
    target = {"target": "results/quick/runs/digits/swrn-22-1/cifar/seed0/metrics.json"}
    (project / "results/data").mkdir(parents=True)
    (project / "results/data/digits.json").write_text("{}")
    code, said = snakemake(*arguments, **variables, **target)
    assert code != 0 and not asked.exists(), said
    line = "train.runtime: 48: are more minutes than partition 'gpu' allows (30), and a retry would ask for them; set "
    assert f"{line}longest_job: 30 in profiles/slurm/site.yaml" in said, said
    code, said = snakemake(*arguments, "longest_job=30", **variables, **target)
    assert code != 0
    submitted = asked.read_text().splitlines()
    assert [re.search(r"(?:-t|--time)[ =](\S+)", each)[1] for each in submitted] == ["12", "24", "30", "30"], said
    memory = [re.search(r"--mem[ =](\S+)", each)[1] for each in submitted]
    assert memory == ["8000", "16000", "24000", "32000"]
    assert all("--nodes=1 " in each and "--gpus=1 " in each for each in submitted)


def test_a_kill_is_told_in_the_job_s_log(project):
    (project / "softshare/__main__.py").write_text("import os; os.kill(os.getpid(), 9)\n")
    code, said = snakemake("--cores", "1", "--config", "device=cpu", folder=project)
    assert code != 0
    (log,) = (project / "results/logs").rglob("*.log")
    assert "Killed" in log.read_text() and "softshare data check" in log.read_text(), said


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
