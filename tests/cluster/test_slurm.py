"""The Slurm profile, on a real Slurm of one node: tables as on this machine, and nothing lost to what kills jobs."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from one_node import RUNS, TABLE, snakemake, through_slurm

pytestmark = pytest.mark.cluster

RUN = f"{RUNS}/swrn-22-1/cifar/seed0"
ON_THE_GPU = [f"{RUNS}/wrn-22-1/cifar/seed{seed}" for seed in (0, 1)]
# What these two ask for, and the other runs of Table 1, as `--set-resources` reads it.
OF_THESE = "wildcards.model.startswith('wrn-22') and wildcards.recipe.endswith('cifar')"
GROWING = [f"train:gpu=1 if {OF_THESE} else 0", f"train:mem_mb=350 * attempt * attempt if {OF_THESE} else 2000"]
ELSEWHERE = "/shared/data/cifar-10-python.tar.gz"
LIGHT = "train:mem_mb=2000"
UNHURRIED = "train:runtime=20"  # minutes: only a run that stands still is to meet its end


def same_run(ours, theirs):
    """Whether two folders of a run hold the same bits."""
    return all(
        (ours / name).read_bytes() == (theirs / name).read_bytes() for name in ("metrics.json", "model.safetensors")
    )


def same_table(ours, theirs):
    """Asserts that two projects came to the same Table 1, by the same ten runs."""
    assert (ours / TABLE).read_bytes() == (theirs / TABLE).read_bytes()
    runs = sorted(run.relative_to(theirs) for run in theirs.glob(f"{RUNS}/*/*/*"))
    assert len(runs) == 10
    for run in runs:
        assert same_run(ours / run, theirs / run), run


def submitted(said):
    """Slurm's ids of the jobs that Snakemake submitted."""
    return re.findall(r"has been submitted with SLURM jobid (\d+)", said)


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
        time.sleep(0.2)
    raise AssertionError("it did not come in time")


def ended(slurm, folder, said):
    """All jobs that a call of Snakemake in a project told of, once Slurm has written of each."""
    ids = set(submitted(said))

    def written():
        jobs = [job for job in slurm.ended(folder) if job["JobId"] in ids]
        return len(jobs) == len(ids) and jobs

    return wait_for(written)


def training(run):
    """The process that trains a run, once its first checkpoint is there."""
    try:
        if (run / "history.csv").exists():  # written just after the checkpoint
            return int((run / ".lock").read_text().split()[0])  # "PID on HOST"
    except (OSError, IndexError):  # not there yet, or not written yet
        pass
    return None


class Hanging(threading.Thread):
    """Brings the first run of a project that has a checkpoint to a standstill, as a node does that hangs.

    Standing still it cannot end cleanly: SIGKILL is what stops it, once Slurm finds that its time is up.

    Attributes:
        run_folder: Of the run.
        epochs: That it had done.
    """

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder, self.run_folder, self.epochs = folder, None, 0

    def run(self):
        """Waits for it, and stops it."""
        pid, self.run_folder = wait_for(self.first, minutes=10)
        os.kill(pid, signal.SIGSTOP)
        self.epochs = len((self.run_folder / "history.csv").read_text().splitlines()) - 1

    def first(self):
        """A process and the run that it trains."""
        runs = self.folder.glob(f"{RUNS}/*/*/*")
        return next(((pid, run) for run in runs if (pid := training(run))), None)


@pytest.fixture(scope="module")
def under_way(slurm, make_project, conda):
    """Everything that takes long, at once: two cores are never idle while Snakemake looks at a queue now and then.

    Table 1 with `--use-conda` comes first, for one of its jobs is to hang for two minutes. All but the first find their
    data prepared.
    """
    folders = {name: make_project(name) for name in ("conda", "local", "data", "plain")}
    processes = {}

    def call(name, *arguments, **options):
        processes[name] = through_slurm(folders[name], *arguments, background=True, **options)

    slow = ["train:runtime=2 * attempt * attempt", LIGHT]
    call("conda", TABLE, "--use-conda", "--retries", "3", "--set-resources", *slow, environment=conda)
    hanging = Hanging(folders["conda"])
    hanging.start()
    processes["local"] = snakemake(folders["local"], TABLE, "--cores", "2", background=True)
    prepared = wait_for(lambda: (found := folders["local"] / "results/data/digits.json").exists() and found.parent)
    shutil.copytree(prepared, folders["plain"] / "results/data")
    call("plain", f"{RUN}/metrics.json", "--retries", "0", "--set-resources", LIGHT, UNHURRIED)
    scale = folders["data"] / "config/scales/quick.yaml"
    scale.write_text(scale.read_text().replace("cifar10: digits", "cifar10: cifar10"))
    with (folders["data"] / "profiles/slurm/site.yaml").open("a") as site:
        site.write(f"data: {{cifar10: {ELSEWHERE}}}\n")
    call("data", "results/data/cifar10.json", "--retries", "0")
    yield folders, processes, hanging
    for process in processes.values():
        process.kill()


@pytest.fixture(scope="module")
def cancelled(slurm, under_way):
    """A run whose job is cancelled in mid-run: its id; the next call builds all of Table 1."""
    folders, processes, _ = under_way
    folder, process = folders["plain"], processes["plain"]
    pid = wait_for(lambda: training(folder / RUN))
    os.kill(pid, signal.SIGSTOP)  # so that it is still in mid-run when the word comes
    job = slurm.running(folder, "train")
    subprocess.run(["scancel", job], check=True)
    os.kill(pid, signal.SIGCONT)
    said, _ = process.communicate(timeout=900)
    assert process.returncode != 0 and "CANCELLED" in said, said
    assert not (folder / RUN / "metrics.json").exists() and (folder / RUN / "checkpoint.pt").exists()
    processes["plain"] = through_slurm(folder, TABLE, "--set-resources", *GROWING, UNHURRIED, background=True)
    return job


def what_came(under_way, name) -> tuple[Path, str]:
    """Waits for a Snakemake that is under way; its folder and what it said."""
    folders, processes, _ = under_way
    said, _ = processes[name].communicate(timeout=900)
    assert processes[name].returncode == 0, said
    return folders[name], said


@pytest.fixture
def done(under_way):
    """Waits for what is under way; gives its folder and what Snakemake said."""
    return partial(what_came, under_way)


@pytest.fixture(scope="module")
def local(under_way):
    """The project with Table 1 built on this machine, without Slurm."""
    return what_came(under_way, "local")[0]


@pytest.fixture(scope="module")
def plain(slurm, under_way, cancelled):
    """The project with Table 1 built through Slurm, and the jobs of that call: of trainings, and others."""
    folder, said = what_came(under_way, "plain")
    return folder, ended(slurm, folder, said)


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
def test_what_the_cluster_cannot_take_is_one_line_and_no_job(slurm, cancelled, make_project, arguments, said):
    folder = make_project("refused")
    result = through_slurm(folder, f"{RUN}/metrics.json", *arguments)
    assert result.returncode != 0 and said in result.stdout, result.stdout
    assert not submitted(result.stdout)


def test_data_that_do_not_lie_on_the_node_are_one_line(under_way, cancelled):
    folders, processes, _ = under_way
    said, _ = processes["data"].communicate(timeout=900)
    assert processes["data"].returncode != 0, said
    log = (folders["data"] / "results/logs/data/cifar10.log").read_text()
    assert log.count("\n") == 1 and f"SOFTSHARE_DATA_CIFAR10: '{ELSEWHERE}': does not lie on this machine" in log, log


def test_table_1_through_slurm_is_the_local_one(plain, local):
    folder, jobs = plain
    show("Table 1 of the quick scale through Slurm", jobs)
    same_table(folder, local)
    assert all(job["JobState"] == "COMPLETED" for job in jobs if "mem=350M" not in job["Tres"])


def test_table_1_with_conda_is_the_local_one_though_a_job_met_its_walltime(slurm, under_way, done, local):
    *_, hung = under_way
    folder, said = done("conda")
    jobs = ended(slurm, folder, said)
    name = hung.run_folder.relative_to(folder)
    show(f"Table 1 with --use-conda; {name} hung after {hung.epochs} epochs, and was resumed", jobs)
    same_table(folder, local)
    model, recipe, seed = name.parts[-3:]
    of_run = [job for job in jobs if {model, recipe} <= set(slurm.log_of(folder, job).parent.name.split("_"))]
    of_run = [job for job in of_run if slurm.log_of(folder, job).parent.name.endswith(seed.removeprefix("seed"))]
    killed, finished = of_run[0], of_run[-1]
    assert killed["JobState"] == "TIMEOUT" and int(killed["TimeLimit"]) < int(finished["TimeLimit"])
    assert finished["JobState"] == "COMPLETED"
    log = (folder / f"results/quick/logs/train/digits/{model}/{recipe}/{seed}.log").read_text()
    told = [int(epoch) for epoch in re.findall(r"^epoch (\d+)/", log, re.M)]
    assert told[0] == hung.epochs + 1  # the retry trained no epoch twice
    environments = {
        log.relative_to(folder).parts[3]: log.read_text().split()[1]
        for log in folder.glob("results/quick/logs/**/*.log")
    }
    assert environments == {"train": "train", "tables": "report"}


def test_a_job_cancelled_in_mid_run_is_taken_up_by_the_next_call(slurm, cancelled, plain, local):
    folder, _ = plain
    [job] = [job for job in slurm.ended(folder) if job["JobId"] == cancelled]
    show(f"Cancelled by scancel: {RUN}", [job])
    assert job["JobState"] == "CANCELLED"
    log = (folder / "results/quick/logs/train/digits/swrn-22-1/cifar/seed0.log").read_text()
    assert int(re.findall(r"^epoch (\d+)/", log, re.M)[0]) > 1  # from its checkpoint
    assert same_run(folder / RUN, local / RUN)


def test_jobs_out_of_memory_are_tried_again_with_more_and_on_the_gpu_do_not_overlap(slurm, plain, local):
    folder, every = plain
    jobs = [job for job in every if re.search(r"TresPerJob=\S*gpu:1", slurm.told(job["JobId"]))]
    show("Out of memory, and tried again, on one GPU", jobs)
    killed = [job for job in jobs if "mem=350M" in job["Tres"]]
    finished = [job for job in jobs if "mem=1400M" in job["Tres"]]
    assert len(killed) == len(finished) == 2 and len(jobs) == 4
    assert "COMPLETED" not in {job["JobState"] for job in killed}
    assert {job["JobState"] for job in finished} == {"COMPLETED"}
    assert all("memory" in slurm.log_of(folder, job).read_text() for job in killed)
    for (_, before), (began, _) in itertools.pairwise(sorted(map(seconds, jobs))):
        assert before <= began
    for run in ON_THE_GPU:
        assert same_run(folder / run, local / run)
