"""The row on a training's memory: whose size is taken from whose."""

import subprocess

import pytest

from softshare.bench import memory


def test_the_size_is_that_above_torch_alone(monkeypatch):
    asked = []

    def run(command, **how):
        asked.append(command[2:])
        return subprocess.CompletedProcess(command, 0, stdout="epoch\n2500000000\n" if command[3:] else "500000000\n")

    monkeypatch.setattr(memory.subprocess, "run", run)
    (row,) = memory.bench_training_memory("memory.training.wrn-28-2.batch128", 7)
    assert (row.name, row.value, row.unit) == ("memory.training.wrn-28-2.batch128", 2.0, "GB above torch")
    assert asked[0][1:] == ["wrn-28-2", "128"] and "train_a_little" not in asked[1][0]


@pytest.mark.slow
def test_a_little_is_trained_and_evaluated(monkeypatch):
    done = []
    monkeypatch.setattr(memory, "evaluate", lambda network, model, loader, precision: done.append(loader.count))
    memory.train_a_little("wrn-16-1", 4, (64, 12))
    assert done == [12]
    grown = memory._peak(memory._OF_TORCH)
    assert 50e6 < grown < 2e9
