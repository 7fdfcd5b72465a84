"""Trainings on several GPUs: what their jobs ask for and run, and which forecast sets their limits."""

import json
import os
import re

import pytest

TINY = (
    "description: One epoch of small networks.\nseeds: [0]\nthreads: 3\nminutes_per_run: 1\n"
    "datasets: {cifar10: cifar10, imagenet: imagenet}\nmodels: {swrn-40-8-8: swrn-16-1-1, wrn-50-2: wrn-50-2}\n"
    "photographs: {threads: 16, minutes_per_run: 1200}\ntraining: {epochs: 1}\n"
)
ON_GPUS = ("scale=tiny", "device=cuda", "loader=tensor", "experiments=['figure8', 'table3']")


@pytest.fixture
def trained(project, snakemake):
    """By dataset, what the jobs of the rule `train` ask for, and their commands; and all that was said."""

    def plan(*config):
        result = snakemake(
            "-n", "-p", "--cores", "999", "--resources", "gpu=8", "--config", *ON_GPUS, *config, folder=project
        )
        said = result.stdout + result.stderr
        assert result.returncode == 0, said
        jobs = {}
        for text in re.split(r"\n\n(?=\[|rule )|\n(?=rule )", said):
            if match := re.search(r"rule train:.*?wildcards: dataset=(\w+)", text, re.S):
                asked = dict(re.findall(r"(\w+)=(\w+)", re.search(r"^    resources: (.*)", text, re.M)[1]))
                threads = re.search(r"^    threads: (\d+)", text, re.M)
                shell = next(line for line in said.splitlines() if f"--dataset {match[1]} " in line)
                jobs[match[1]] = (asked | {"threads": threads[1] if threads else "1"}, shell)
        assert jobs.keys() == {"cifar10", "imagenet"}
        return jobs, said

    return plan


def test_a_run_asks_for_the_memory_threads_and_time_of_all_its_processes(trained):
    jobs, _ = trained('gpus={"imagenet": 8}')
    asked, shell = jobs["imagenet"]
    assert (asked["gpu"], asked["threads"]) == ("8", "128")
    assert asked["mem_mb"] == str(8 * 48000) and asked["runtime"] == str(2 * 1200 // 8 + 10)
    assert "gpus=8; each=128;" in shell
    other, shell = jobs["cifar10"]
    assert (other["gpu"], other["threads"], other["mem_mb"], other["runtime"]) == ("1", "3", "8000", "12")
    assert "gpus=1; each=3;" in shell


@pytest.fixture
def two_gpus(project, monkeypatch):
    """A stand-in for the driver's command, which tells of two GPUs."""
    (project / "bin").mkdir()
    (project / "bin/nvidia-smi").write_text("#!/bin/sh\necho GPU-first\necho GPU-second\n")
    (project / "bin/nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{project}/bin{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(project))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("two_gpus")
def test_of_a_gpu_with_a_number_no_other_is_taken(project, snakemake):
    scale = project / "config/scales/tiny.yaml"
    scale.write_text(scale.read_text().replace("cifar10: cifar10", "cifar10: digits"))
    wanted = "results/tiny/runs/digits/swrn-16-1-1/cifar/seed0/metrics.json"
    for number, said in (("7", "--only: 7: there are only 2 GPUs here"), ("1", "device: 'cuda'")):
        config = ["scale=tiny", "experiments=['figure8']", "loader=tensor", f"device=cuda:{number}"]
        result = snakemake(wanted, "--config", *config, folder=project)
        log = project / "results/tiny/logs/train/digits/swrn-16-1-1/cifar/seed0.log"
        assert result.returncode != 0 and said in log.read_text()
        assert "softshare status --scale tiny --experiments figure8 --brief\n" in result.stderr
    assert [path.name for path in project.glob("softshare-gpus-*/GPU-*")] == ["GPU-second.lock"]


@pytest.mark.parametrize("config", ["gpus={'imagenet': 0}", "gpus={'imagenet': 'two'}", "batch_norm=none"])
def test_what_cannot_be_asked_for_is_one_line(config, project, snakemake):
    result = snakemake("-n", "--config", "scale=tiny", config, folder=project)
    key = config.partition("=")[0]
    assert result.returncode != 0 and f"config/config.yaml: {key}" in result.stdout + result.stderr


def test_more_gpus_a_run_than_jobs_may_take_here_is_one_line(project, snakemake):
    result = snakemake("-n", "--config", *ON_GPUS, "gpus={'imagenet': 8}", folder=project)
    line = "config/config.yaml: gpus.imagenet: 8: jobs may take only 1 GPUs here; say --resources gpu=8, or more"
    assert result.returncode != 0 and line in result.stdout + result.stderr


@pytest.mark.long
@pytest.mark.usefixtures("two_gpus")
def test_a_run_is_trained_by_a_process_a_gpu_and_says_so(project, snakemake):
    """`auto` asks for GPUs, for the driver tells of them, and computes on the CPU."""
    scale = project / "config/scales/tiny.yaml"
    scale.write_text(scale.read_text().replace("cifar10: cifar10", "cifar10: digits"))
    folder = project / "results/tiny/runs/digits/swrn-16-1-1/cifar/seed0"
    config = ["scale=tiny", "experiments=['figure8']", "gpus={'digits': 2}", "batch_norm=synchronised"]
    wanted = [f"{folder.relative_to(project)}/metrics.json", "--cores", "6", "--resources", "gpu=2"]
    result = snakemake(*wanted, "--config", *config, folder=project)
    log = project / "results/tiny/logs/train/digits/swrn-16-1-1/cifar/seed0.log"
    assert result.returncode == 0, result.stderr + (log.read_text() if log.exists() else "")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["processes"], manifest["batch_norm"], manifest["threads"]) == (2, "synchronised", 3)
    locks = {path.name for path in project.glob("softshare-gpus-*/GPU-*")}
    assert locks == {"GPU-first.lock", "GPU-second.lock"}
    fewer = snakemake("-n", *wanted, "--config", *config[:-2], "batch_norm=synchronised", folder=project)
    assert "Nothing to be done" in fewer.stdout + fewer.stderr  # with these statistics it is no other run
    own = snakemake("-n", *wanted, "--config", *config[:-1], "batch_norm=own", folder=project)
    assert re.search(r"^train +1$", own.stdout + own.stderr, re.M)


@pytest.mark.parametrize(("unit", "runtime"), [("gpus", 2 * 600 + 10), ("cores", 12)])
def test_only_a_forecast_for_gpus_sets_the_limits_of_jobs_on_gpus(trained, project, unit, runtime):
    (project / "results/tiny").mkdir(parents=True)
    row = {"run": "cifar10/swrn-16-1-1/cifar/seed0", "wall_seconds": 36000}
    content = {"basis": "measured", unit: 2, "runs": [row]}
    (project / "results/tiny/forecast.json").write_text(json.dumps(content))
    jobs, said = trained()
    assert jobs["cifar10"][0]["runtime"] == str(runtime)
    note = "forecast.json: was made for a CPU, and jobs run on GPUs; time limits are taken from minutes_per_run"
    assert said.count(note) == (unit == "cores")
