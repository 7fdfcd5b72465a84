"""A job whose walltime is shorter than an epoch: told by the epoch's first steps, in one line."""

import os
import time

import pytest
import torch

from softshare.errors import UserError
from softshare.training.walltime import minutes_of_this_job, require_epoch_fits

COUNT = 40


def batches(seconds=0.0):
    for _ in range(COUNT // 2):
        yield torch.zeros(2, 3), torch.zeros(2)
        time.sleep(seconds)  # after each step: what a step takes


@pytest.mark.parametrize("minutes", [None, 60.0])
def test_an_epoch_that_fits_is_handed_on_whole(minutes, tmp_path):
    handed = list(require_epoch_fits(batches(), COUNT, tmp_path, minutes))
    assert sum(len(targets) for _, targets in handed) == COUNT


def test_an_epoch_longer_than_the_job_ends_at_its_first_tenth(tmp_path):
    steps = require_epoch_fits(batches(0.05), COUNT, tmp_path, minutes=0.5 / 60)  # the whole takes a second
    handed = 0
    with pytest.raises(UserError, match=r"walltime: '0.00833333 minutes': is shorter than one epoch, .* raise runtime"):
        for _, targets in steps:
            handed += len(targets)
    assert handed <= COUNT / 2


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Has `squeue` answer what a test says, and this process be a job of Slurm."""

    def answer(text):
        command = tmp_path / "squeue"
        command.write_text(f"#!/bin/sh\n{text}\n")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        minutes_of_this_job.cache_clear()
        return minutes_of_this_job()

    yield answer
    minutes_of_this_job.cache_clear()


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("echo 1-02:30:00", 1590), ("echo 30:00", 30), ("echo 1:30", 1.5), ("echo UNLIMITED", None), ("exit 1", None)],
)
def test_the_time_of_a_job_is_what_squeue_tells(text, minutes, asked):
    assert asked(text) == minutes


def test_outside_of_slurm_there_is_no_limit(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    minutes_of_this_job.cache_clear()
    assert minutes_of_this_job() is None
