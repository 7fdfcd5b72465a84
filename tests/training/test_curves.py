"""TensorBoard event files: what they hold, and that a run which resumes shows each epoch once."""

import dataclasses
import importlib.util

import pytest

from softshare.errors import UserError
from softshare.training.curves import Curves, require_tensorboard
from softshare.training.engine import start_training, train

pytest.importorskip("tensorboard")


def points(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(each.step, each.value) for each in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


@pytest.mark.slow
def test_a_run_that_resumes_shows_each_epoch_once(job, images, tmp_path):
    job = dataclasses.replace(job, curves=True)
    killed = start_training(job, images, tmp_path)
    killed.run_epoch(0, progress=False)
    killed.save()
    curves = Curves(tmp_path / "tensorboard")
    curves.extend([*killed.history, killed.history[0] | {"epoch": 2}])  # as of an epoch whose checkpoint was not kept
    curves.close()
    train(job, images, tmp_path, progress=False)
    found = points(tmp_path / "tensorboard")
    assert {"train_loss", "test_error"} <= found.keys() and "epoch" not in found
    assert all([step for step, _ in each] == [1, 2, 3] for each in found.values())


def test_rows_are_written_as_they_come(tmp_path):
    history = [{"epoch": 1, "phase": 1, "train_loss": 2.0}]
    curves = Curves(tmp_path)
    curves.extend(history)
    curves.extend([*history, {"epoch": 2, "phase": 1, "train_loss": 1.0}])
    curves.close()
    assert points(tmp_path) == {"train_loss": [(1, 2.0), (2, 1.0)]}


def test_without_tensorboard_one_line_tells_what_to_do(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'softshare\[tensorboard\]'"):
        require_tensorboard()
