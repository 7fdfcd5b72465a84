"""The Slurm profile, on a real Slurm of one node: tables as on this machine, and nothing lost to what kills jobs."""

import itertools
import os
import re
import signal
import subprocess
import time
from datetime import datetime

import pytest
from one_node import TABLE, through_slurm

pytestmark = pytest.mark.cluster

RUN = "results/tiny/runs/digits/swrn-16-1/cifar/seed0"
LIGHT = "train:mem_mb=2000"


def same_run(ours, theirs):
    """Whether two folders of a run hold the same bits."""
    return all(
        (ours / name).read_bytes() == (theirs / name).read_bytes() for name in ("metrics.json", "model.safetensors")
    )


def submitted(said):
    """Slurm's ids of the jobs that Snakemake submitted, sorted: two threads submit, and tell of it in either order."""
    return sorted(re.findall(r"has been submitted with SLURM jobid (\d+)", said), key=int)


def seconds(job):
    """When a job began and ended."""
    return [datetime.fromisoformat(job[key]).timestamp() for key in ("StartTime", "EndTime")]


def show(title, jobs):
    """What a reader of the log sees: jobs by their ids."""
    print(f"\n{title}")
    for job in jobs:
        print(f"  job {job['JobId']}: {job['JobState']}, {job['Tres']}, {job['StartTime']} to {job['EndTime']}")


def wait_for(what, minutes=4.0):
    """Waits until a function gives something true, and returns that."""
    deadline = time.monotonic() + 60 * minutes
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come in time")


def training(folder):
    """The process that trains a project's run, once its first checkpoint is there."""
    lock = folder / RUN / ".lock"
    try:
        if (folder / RUN / "history.csv").exists():  # written just after the checkpoint
            return int(lock.read_text().split()[0])  # "PID on HOST"
    except (OSError, IndexError):  # not there yet, or not written yet
        pass
    return None


@pytest.fixture(scope="module")
def stalled(slurm, make_project):
    """A run whose node comes to a standstill after an epoch, so that Slurm ends it at its walltime of a minute.

    It goes on while the other tests run. Standing still, it cannot end cleanly: SIGKILL is what stops it.
    """
    folder = make_project("walltime")
    limits = ["--set-resources", LIGHT, "train:runtime=3 * attempt - 2"]
    process = through_slurm(folder, f"{RUN}/metrics.json", *limits, "--retries", "2", background=True)
    pid = wait_for(lambda: training(folder))
    os.kill(pid, signal.SIGSTOP)
    epochs = len((folder / RUN / "history.csv").read_text().splitlines()) - 1
    yield folder, process, epochs
    process.kill()


@pytest.fixture(scope="module")
def with_conda(slurm, make_project, conda, stalled):
    """Table 1 through Slurm with `--use-conda`, under way while the other tests run."""
    folder = make_project("conda")
    process = through_slurm(folder, TABLE, "--use-conda", "--set-resources", LIGHT, environment=conda, background=True)
    yield folder, process
    process.kill()


def test_table_1_is_the_local_one_and_jobs_on_the_gpu_do_not_overlap(
    slurm, make_project, building, with_conda, request
):
    folder = make_project("plain")
    result = through_slurm(folder, TABLE, "--set-resources", LIGHT, "train:gpu=1")
    assert result.returncode == 0, result.stdout
    local = request.getfixturevalue("local")
    assert (folder / TABLE).read_bytes() == (local / TABLE).read_bytes()
    for run in local.glob("results/tiny/runs/*/*/*/*"):
        assert same_run(folder / run.relative_to(local), run), run
    ids = submitted(result.stdout)
    jobs = wait_for(lambda: len(found := slurm.ended(folder)) == len(ids) and found)
    show("Table 1 through Slurm", jobs)
    assert [job["JobId"] for job in jobs] == ids
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    on_gpu = sorted(seconds(job) for job in jobs if re.search(r"TresPerJob=\S*gpu:1", slurm.told(job["JobId"])))
    assert len(on_gpu) == 4
    for (_, ended), (began, _) in itertools.pairwise(on_gpu):
        assert ended <= began


def test_a_job_cancelled_in_mid_run_is_taken_up_by_the_next_call(slurm, make_project, local):
    folder = make_project("cancelled")
    asked = [f"{RUN}/metrics.json", "--set-resources", LIGHT]
    process = through_slurm(folder, *asked, "--retries", "0", background=True)
    pid = wait_for(lambda: training(folder))
    os.kill(pid, signal.SIGSTOP)  # so that it is still in mid-run when the word comes
    job = slurm.running(folder, "train")
    subprocess.run(["scancel", job], check=True)
    os.kill(pid, signal.SIGCONT)
    said, _ = process.communicate(timeout=900)
    assert process.returncode != 0 and "CANCELLED" in said, said
    assert not (folder / RUN / "metrics.json").exists() and (folder / RUN / "checkpoint.pt").exists()
    restarted = through_slurm(folder, *asked)
    assert restarted.returncode == 0, restarted.stdout
    show(f"Cancelled by scancel (job {job}), and taken up", slurm.ended(folder))
    assert same_run(folder / RUN, local / RUN)


def test_a_job_out_of_memory_is_tried_again_with_more(slurm, make_project, local):
    folder = make_project("memory")
    result = through_slurm(folder, f"{RUN}/metrics.json", "--set-resources", "train:mem_mb=350 * attempt * attempt")
    assert result.returncode == 0, result.stdout
    jobs = wait_for(lambda: len(found := slurm.ended(folder)) == 3 and found)
    show("Out of memory, and tried again", jobs)
    killed, finished = jobs[-2:]
    assert killed["JobState"] != "COMPLETED" and "mem=350M" in killed["Tres"]
    assert finished["JobState"] == "COMPLETED" and "mem=1400M" in finished["Tres"]
    [log] = folder.glob(f".snakemake/slurm_logs/rule_train/*/{killed['JobId']}.log")
    assert "memory" in log.read_text()
    assert same_run(folder / RUN, local / RUN)


def test_a_job_killed_by_its_walltime_ends_with_the_same_bits(slurm, local, stalled):
    folder, process, epochs = stalled
    said, _ = process.communicate(timeout=900)
    assert process.returncode == 0, said
    ids = submitted(said)
    jobs = wait_for(lambda: len(found := slurm.ended(folder)) == len(ids) and found)
    show(f"Killed by its walltime after {epochs} epochs, and resumed", jobs)
    killed, finished = jobs[-2:]
    assert killed["JobState"] == "TIMEOUT" and int(killed["TimeLimit"]) < int(finished["TimeLimit"])
    assert finished["JobState"] == "COMPLETED"
    log = (folder / "results/tiny/logs/train/digits/swrn-16-1/cifar/seed0.log").read_text()
    told = [int(epoch) for epoch in re.findall(r"^epoch (\d+)/", log, re.M)]
    assert told[0] == epochs + 1  # the retry trained no epoch twice
    assert same_run(folder / RUN, local / RUN)


def test_table_1_with_conda_is_the_local_one(slurm, local, with_conda):
    folder, process = with_conda
    said, _ = process.communicate(timeout=900)
    assert process.returncode == 0, said
    show("Table 1 through Slurm with --use-conda", slurm.ended(folder))
    assert (folder / TABLE).read_bytes() == (local / TABLE).read_bytes()
    environments = {
        log.relative_to(folder).parts[3]: log.read_text().split()[1]
        for log in folder.glob("results/tiny/logs/**/*.log")
    }
    assert environments == {"train": "train", "tables": "report"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--set-resources", "train:slurm_partition=gpus"],
            "profiles/slurm/config.yaml: train.slurm_partition: 'gpus': no such partition on this cluster; "
            "it has long, short",
        ),
        (
            ["--default-resources", "runtime=5"],
            "dataset.slurm_partition: not set, and the cluster has no default one; name one under default-resources; "
            "this cluster has long, short",
        ),
        (
            ["--set-resources", "train:slurm_partition=short", "train:runtime=600"],
            "train.runtime: 600: are more minutes than partition 'short' allows (30); set longest_job: 30 in "
            "profiles/slurm/site.yaml: a killed run goes on from its last epoch",
        ),
    ],
)
def test_what_the_cluster_cannot_take_is_one_line_and_no_job(slurm, make_project, arguments, said):
    folder = make_project("refused")
    result = through_slurm(folder, f"{RUN}/metrics.json", *arguments)
    assert result.returncode != 0 and said in result.stdout, result.stdout
    assert not submitted(result.stdout)


def test_data_that_do_not_lie_on_the_node_are_one_line(slurm, make_project):
    folder = make_project("data")
    scale = folder / "config/scales/tiny.yaml"
    scale.write_text(scale.read_text().replace("cifar10: digits", "cifar10: cifar10"))
    place = "/shared/data/cifar-10-python.tar.gz"
    with (folder / "profiles/slurm/site.yaml").open("a") as site:
        site.write(f"data: {{cifar10: {place}}}\n")
    result = through_slurm(folder, "results/data/cifar10.json", "--retries", "0")
    assert result.returncode != 0
    log = (folder / "results/logs/data/cifar10.log").read_text()
    assert log.count("\n") == 1 and f"SOFTSHARE_DATA_CIFAR10: '{place}': does not lie on this machine" in log, log
