"""A run's loaders: which is taken, and that a run ends with the same bits whichever it is."""

import dataclasses
import json

import pytest
import torch

from softshare.data.ffcv_file import ffcv_is_installed
from softshare.errors import UserError
from softshare.training import loading
from softshare.training.engine import _Training, train
from softshare.training.loading import resolve_loader

CPU = torch.device("cpu")


def trained(job, images, out, **changes):
    """What training ends with, in a folder where it may have begun."""
    train(dataclasses.replace(job, **changes), images, out, progress=False)
    assert json.loads((out / "manifest.json").read_text())["loader"] == changes.get("loader", "tensor")
    return {name: (out / name).read_bytes() for name in ("model.safetensors", "metrics.json", "similarity.npz")}


def begun(job, images, out, **changes):
    """A folder as it is after one epoch and a kill."""
    training = _Training(dataclasses.replace(job, **changes), images, out)
    training.run_epoch(0, progress=False)
    training.save()
    assert not (out / "metrics.json").exists()
    return out


@pytest.fixture
def epochs(monkeypatch):
    """The epochs that are trained, counted from 0, as they are."""
    run_epoch, seen = _Training.run_epoch, []
    monkeypatch.setattr(
        _Training, "run_epoch", lambda self, epoch, progress: (seen.append(epoch), run_epoch(self, epoch, progress))
    )
    return seen


@pytest.mark.parametrize("before, after", [("tensor", "torchvision"), ("torchvision", "tensor")])
def test_a_run_goes_on_to_the_same_bits_where_another_loader_stopped(
    with_settings, images, tmp_path, epochs, before, after
):
    job = with_settings(epochs=2, validation=0.1)
    expected = trained(job, images, tmp_path / "whole")
    out = begun(job, images, tmp_path / "stopped", loader=before)
    assert trained(job, images, out, loader=after) == expected
    assert epochs == [0, 1, 0, 1]  # the whole run, then what each loader gave


def test_worker_processes_train_to_the_same_bits(with_settings, images, tmp_path):
    job = with_settings(epochs=1, validation=0.1)
    expected = trained(job, images, tmp_path / "tensor")
    assert trained(job, images, tmp_path / "torchvision", loader="torchvision") == expected


@pytest.mark.skipif(not ffcv_is_installed(), reason="FFCV is not installed (make ffcv)")
@pytest.mark.slow
def test_ffcv_trains_to_the_same_bits_and_goes_on_where_another_loader_stopped(
    with_settings, images, write, tmp_path, epochs
):
    job = with_settings(epochs=2, validation=0.1)
    beton = write(tmp_path / "digits.beton", images)
    expected = trained(job, images, tmp_path / "tensor")
    assert trained(job, images, tmp_path / "ffcv", loader="ffcv", beton=beton) == expected
    out = begun(job, images, tmp_path / "stopped")
    assert trained(job, images, out, loader="ffcv", beton=beton) == expected
    assert epochs == [0, 1, 0, 1, 0, 1]  # two whole runs, then what each loader gave


def test_a_file_of_other_data_is_refused_before_anything_is_written(job, images, write, tmp_path, monkeypatch):
    beton = write(tmp_path / "digits.beton", dataclasses.replace(images, fingerprint="1" * 64))
    with pytest.raises(UserError, match=r"digits\.beton: holds digits \(1111.*not digits \(0000"):
        train(dataclasses.replace(job, loader="ffcv", beton=beton), images, tmp_path / "run", progress=False)
    assert not (tmp_path / "run" / "metrics.json").exists()


class TestWhichLoader:
    def test_on_a_cpu_the_tensor_in_memory(self, tmp_path):
        (tmp_path / "x.beton").touch()
        assert resolve_loader("auto", CPU, tmp_path / "x.beton") == "tensor"
        assert resolve_loader("torchvision", CPU, tmp_path) == "torchvision"

    def test_on_a_gpu_ffcv_where_it_and_its_file_are_there(self, tmp_path, monkeypatch):
        cuda, file = torch.device("cuda"), tmp_path / "x.beton"
        monkeypatch.setattr(loading, "ffcv_is_installed", lambda: True)
        assert resolve_loader("auto", cuda, file) == "tensor"
        file.touch()
        assert resolve_loader("auto", cuda, file) == "ffcv"
        monkeypatch.setattr(loading, "ffcv_is_installed", lambda: False)
        assert resolve_loader("auto", cuda, file) == "tensor"

    def test_an_unknown_one_is_refused(self, tmp_path):
        with pytest.raises(UserError, match=r"loader: 'fcvc': unknown loader; did you mean 'ffcv'"):
            resolve_loader("fcvc", CPU, tmp_path)
