"""What is measured of an epoch that is over before its time can be told, and what is said to be not measured."""

from types import SimpleNamespace

import pytest
import torch

from softshare.forecast import describe, measuring
from softshare.forecast.counting import count
from softshare.forecast.workload import workload
from softshare.scales import Setting, load_scale

GPU = torch.device("cuda")


@pytest.mark.parametrize("told", [0.0, 0.001])  # a manifest's seconds are told to the millisecond
def test_epochs_too_short_to_be_told_are_timed_nevertheless(monkeypatch, told):
    class Training:
        epoch, history = 0, ({"seconds": told},)

        def run_epoch(self, epoch, progress):
            pass

    monkeypatch.setattr(measuring, "_start", lambda *_: Training())
    monkeypatch.setattr(measuring, "_ENOUGH_SECONDS", 0.01)
    work = workload(Setting("digits", "swrn-16-1-1", "cifar"), load_scale("quick"))
    cost = count(work)
    assert measuring._first_rate(work, cost, GPU, "bf16") == pytest.approx(cost.training_flops(4) / 0.001)
    # A batch as large as all examples: one step an epoch.
    for batch, most in ((work.batch_size, 0.001), (work.train_examples, 0.1)):
        pace = measuring._measure(work, cost, batch, GPU, "bf16", 0.0, 0.05)
        assert 0 < pace.step_seconds <= most and pace.measured


def test_a_few_steps_ask_for_no_statistics_over_more_examples_than_they_have(tmp_path):
    work = workload(Setting("shortest-paths", "scnn-8", "paths-anew"), load_scale("compact"))
    training = measuring._start(work, 4, 8, torch.device("cpu"), "fp32", tmp_path)
    assert (training.job.recipe.train, training.job.recipe.statistics_anew) == (8, 0)


@pytest.mark.parametrize(
    ("gpus", "here", "said"),
    [({"cifar10": 2}, GPU, True), ({"cifar10": 2}, None, False), ({"imagenet": 8}, GPU, False)],
    ids=str,
)
def test_that_several_gpus_record_no_steps_is_said_where_one_was_timed(gpus, here, said):
    told = describe._several(SimpleNamespace(gpus_per_run=gpus, speed=SimpleNamespace(here=here, precision="bf16")))
    assert "divide evenly" in told and ("are not recorded" in told) is said
