"""A job whose walltime is shorter than an epoch: told by the epoch's first steps, in one line."""

import os
import time

import pytest
import torch

from softshare.errors import UserError
from softshare.training import resumable
from softshare.training.engine import start_training, train
from softshare.training.walltime import JobTime, require_epoch_fits, seconds_beside_steps, time_of_this_job

COUNT = 40


def batches(seconds=0.0):
    for _ in range(COUNT // 2):
        yield torch.zeros(2, 3), torch.zeros(2)
        time.sleep(seconds)  # after each step: what a step takes


def job_of(minutes, passed=0.0):
    return JobTime(minutes, time.monotonic() - 60 * passed)


@pytest.mark.parametrize("minutes", [None, 60.0])
def test_an_epoch_that_fits_is_handed_on_whole(minutes, tmp_path):
    handed = list(require_epoch_fits(batches(), COUNT, tmp_path, minutes and job_of(minutes)))
    assert sum(len(targets) for _, targets in handed) == COUNT


@pytest.mark.parametrize(
    ("minutes", "passed", "beside"),
    [(0.5 / 60, 0.0, 0.0), (60.0, 60.0 - 0.5 / 60, 0.0), (60.0, 0.0, 3600.0), (1.0, 2.0, 0.0)],
    ids=["longer by itself", "after what had passed", "with its evaluation", "over already"],
)
def test_an_epoch_longer_than_the_job_ends_at_its_first_tenth(minutes, passed, beside, tmp_path):
    steps = require_epoch_fits(batches(0.05), COUNT, tmp_path, job_of(minutes, passed), beside)  # it takes a second
    handed = 0
    said = rf"walltime: '{minutes:g} minutes': is too short for an epoch, .* began after {passed:.1f}: .* raise runtime"
    with pytest.raises(UserError, match=said):
        for _, targets in steps:
            handed += len(targets)
    assert handed <= COUNT / 2


def test_the_device_is_waited_for_until_enough_was_seen(tmp_path):
    """Its time counts, not that of a host which runs ahead; and once the pace is known it may run ahead again."""
    waited = []

    def device():
        waited.append(None)
        time.sleep(0.05)

    with pytest.raises(UserError, match="too short for an epoch"):
        list(require_epoch_fits(batches(), COUNT, tmp_path, job_of(0.5 / 60), wait=device))
    waited.clear()
    list(require_epoch_fits(batches(), COUNT, tmp_path, job_of(60.0), wait=device))
    assert 2 <= len(waited) <= COUNT / 2


def test_a_slow_first_step_counts_once(tmp_path):
    def train_on(minutes):
        for step, _ in enumerate(require_epoch_fits(batches(), COUNT, tmp_path, job_of(minutes))):
            time.sleep(0.5 if step == 0 else 0.0)

    train_on(5.0 / 60)
    with pytest.raises(UserError, match="too short for an epoch"):
        train_on(0.4 / 60)


def test_what_an_epoch_takes_beside_its_steps_is_what_the_history_leaves():
    assert seconds_beside_steps([], 0.0) == 0.0
    assert seconds_beside_steps([{"seconds": 3.0}, {"seconds": 5.0}], 20.0) == 6.0
    assert seconds_beside_steps([{"seconds": 3.0}], 2.9996) == 0.0  # rounded


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Has `squeue` answer what a test says, and this process be a job of Slurm."""

    def answer(text):
        command = tmp_path / "squeue"
        command.write_text(f"#!/bin/sh\n{text}\n")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        time_of_this_job.cache_clear()
        return time_of_this_job()

    yield answer
    time_of_this_job.cache_clear()


@pytest.mark.parametrize(
    ("text", "minutes", "passed"),
    [
        ("echo '1-02:30:00|1:00:30'", 1590, 60.5),
        ("echo '30:00|0:02'", 30, 2 / 60),
        ("echo '1:30|INVALID'", 1.5, 0),
        ("echo 1:30", 1.5, 0),
    ],
)
def test_the_time_of_a_job_is_what_squeue_tells(text, minutes, passed, asked):
    found = asked(text)
    assert found.minutes == minutes
    assert (time.monotonic() - found.began) / 60 == pytest.approx(passed, abs=0.1)


@pytest.mark.parametrize("text", ["echo 'UNLIMITED|1:00'", "echo", "exit 1"])
def test_a_job_without_a_limit_has_none(text, asked):
    assert asked(text) is None


def test_outside_of_slurm_there_is_no_limit(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    time_of_this_job.cache_clear()
    assert time_of_this_job() is None


def test_a_run_ends_in_its_first_epoch_where_most_of_its_job_has_passed(asked, job, images, tmp_path):
    asked("echo '10:00|10:00'")
    with pytest.raises(UserError, match=r"walltime: '10 minutes': is too short for an epoch, .* began after 10.0"):
        train(job, images, tmp_path / "run")
    assert not (tmp_path / "run/checkpoint.pt").exists()


def test_a_run_that_has_ended_an_epoch_in_its_job_goes_on(asked, job, images, tmp_path, monkeypatch):
    asked("echo '10:00|0:01'")
    training = start_training(job, images, tmp_path)
    training.run_epoch(0, progress=False)
    monkeypatch.setattr(resumable, "time_of_this_job", lambda: job_of(10.0, passed=20.0))
    training.run_epoch(1, progress=False)
    assert training.epoch == 2


def test_a_resumed_run_leaves_room_for_its_evaluation(asked, job, images, tmp_path):
    earlier = start_training(job, images, tmp_path)
    earlier.run_epoch(0, progress=False)
    earlier.seconds += 3600.0  # as if it had been tested for an hour
    earlier.save()
    asked("echo '30:00|0:01'")
    with pytest.raises(UserError, match=r"an epoch, which takes some 60\.\d minutes here"):
        start_training(job, images, tmp_path).run_epoch(1, progress=False)
