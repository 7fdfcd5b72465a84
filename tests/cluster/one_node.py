"""Slurm on this machine as the tests see it, and how they call Snakemake on it."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SCRIPT = Path(__file__).parent / "slurm.sh"
NEEDED = ("slurmctld", "slurmd", "munged", "sbatch", "squeue")
TABLE = "results/quick/tables/table1.csv"
RUNS = "results/quick/runs/digits"

# What a site without accounting sets of profiles/slurm/config.yaml, and that a test waits less.
SITE = {
    "# slurm_partition: cpu": "slurm_partition: long",
    "# slurm-status-command: squeue": "slurm-status-command: squeue",
    "# slurm-no-account: true": "slurm-no-account: true",
    "slurm-init-seconds-before-status-checks: 20": "slurm-init-seconds-before-status-checks: 2",
    "slurm-keep-successful-logs: false": "slurm-keep-successful-logs: true",
    "retries: 3": "retries: 1",
    "latency-wait: 60": "latency-wait: 10",
}


class Slurm:
    """The cluster: what it says of its jobs."""

    def __init__(self, state):
        self.state = state

    def jobs(self):
        """Every job that ended, as Slurm wrote it down: a dictionary each, in the order of their ids."""
        log = self.state / "jobs.log"
        lines = log.read_text().splitlines() if log.exists() else []
        jobs = [dict(re.findall(r"(\w+)=(.*?)(?= \w+=|\s*$)", line)) for line in lines]
        return sorted(jobs, key=lambda job: int(job["JobId"]))

    def ended(self, folder):
        """The jobs of a project."""
        return [job for job in self.jobs() if job["WorkDir"] == str(folder)]

    def log_of(self, folder, job):
        """What Snakemake said within a job; its folder tells which run it trained."""
        [log] = folder.glob(f".snakemake/slurm_logs/rule_*/*/{job['JobId']}.log")
        return log

    def running(self, folder, rule):
        """The id of a project's one job of a rule that is in the queue or runs."""
        lines = subprocess.run(["squeue", "-h", "-o", "%A|%Z|%k"], capture_output=True, text=True, check=True).stdout
        queued = [line.split("|") for line in lines.splitlines()]
        [job] = [job for job, place, comment in queued if place == str(folder) and comment.startswith(f"rule_{rule}_")]
        return job

    def told(self, job):
        """What Slurm still knows of a job."""
        return subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True).stdout


def snakemake(folder, *arguments, environment=None, background=False):
    """Runs Snakemake in a project; returns what it said, or the process itself."""
    command = [sys.executable, "-m", "snakemake", *arguments, "--config", "device=cpu"]
    # Threads as a job of one core would take them, and the package of the project itself.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
    environment.pop("PYTHONPATH", None)
    if background:
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900
    )
    return done


def through_slurm(folder, *arguments, **options):
    """Runs Snakemake in a project with its Slurm profile."""
    return snakemake(folder, *arguments, "--workflow-profile", "profiles/slurm", **options)
