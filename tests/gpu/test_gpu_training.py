"""Training on a GPU: every precision, compiled or not, repeated to the bit, resumed, and never waited for."""

import dataclasses
import json

import pytest
import torch

from softshare.data.images import load_images
from softshare.data.shortest_paths import make_shortest_paths
from softshare.recipes import load_recipe
from softshare.training.engine import start_training, train
from softshare.training.job import Job
from softshare.training.path_engine import start_training_paths, train_paths
from softshare.training.path_recipe import PathRecipe
from softshare.training.recipe import Recipe

SMALL_PATHS = {"side": 8, "windows": [3, 5], "train": 40, "test": 6, "epochs": 2, "batch_size": 8}
ARGUED = ["model.safetensors", "metrics.json", "similarity.npz"]


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


@pytest.fixture
def job(gpu):
    settings = load_recipe("cifar") | {"epochs": 6, "dropout": 0.2}
    return Job("digits", "swrn-16-1-2", "cifar", Recipe.from_settings(settings), seed=0, device=gpu, precision="fp32")


@pytest.fixture
def path_job(gpu):
    recipe = PathRecipe.from_settings(load_recipe("paths-recurrent") | SMALL_PATHS)
    return Job("shortest-paths", "scnn-4", "paths-recurrent", recipe, seed=0, device=gpu, precision="fp32")


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16"])
def test_it_learns_in_every_precision(job, digits, tmp_path, precision):
    metrics = train(dataclasses.replace(job, precision=precision), digits, tmp_path, progress=False)
    assert metrics["test"]["error"] < 30  # chance: 90
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["device"] == torch.cuda.get_device_name() and manifest["precision"] == precision
    assert 1e6 < manifest["peak_memory_bytes"] < torch.cuda.get_device_properties(0).total_memory


def test_it_learns_as_on_a_cpu(job, digits, tmp_path):
    plain = dataclasses.replace(job, recipe=dataclasses.replace(job.recipe, dropout=0.0))
    on_gpu = train(plain, digits, tmp_path / "gpu", progress=False)
    on_cpu = train(dataclasses.replace(plain, device=torch.device("cpu")), digits, tmp_path / "cpu", progress=False)
    assert on_gpu["train_loss"] == pytest.approx(on_cpu["train_loss"], rel=0.05)


def test_a_run_repeats_itself_to_the_bit_and_so_does_one_that_resumes(job, digits, tmp_path):
    for name in ("once", "again"):
        train(job, digits, tmp_path / name, progress=False)
    training = start_training(job, digits, tmp_path / "resumed")
    training.run_epoch(0, False)
    training.save()
    train(job, digits, tmp_path / "resumed", progress=False)
    for name in ("again", "resumed"):
        for file in ARGUED:
            assert (tmp_path / name / file).read_bytes() == (tmp_path / "once" / file).read_bytes(), (name, file)


def test_paths_repeat_and_resume_to_the_bit(path_job, tmp_path):
    train_paths(path_job, tmp_path / "once", progress=False)
    training = start_training_paths(path_job, make_shortest_paths(path_job.recipe.data, 0), tmp_path / "resumed")
    training.run_epoch(0, False)
    training.save()
    train_paths(path_job, tmp_path / "resumed", progress=False)
    for file in ARGUED:
        assert (tmp_path / "resumed" / file).read_bytes() == (tmp_path / "once" / file).read_bytes(), file


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_statistics_anew_change_no_bit_of_recorded_training(path_job, tmp_path, precision):
    job = dataclasses.replace(path_job, precision=precision)
    anew = dataclasses.replace(job, recipe=dataclasses.replace(job.recipe, statistics_anew=20))
    plain = train_paths(job, tmp_path / "plain", progress=False)
    scored = train_paths(anew, tmp_path / "anew", progress=False)
    assert scored.pop("anew")["test"]["loss"] and scored == plain
    for file in ("model.safetensors", "similarity.npz", "predictions.npz"):
        assert (tmp_path / "anew" / file).read_bytes() == (tmp_path / "plain" / file).read_bytes(), file


@pytest.mark.parametrize("model", ["swrn-16-1-2", "wrn-16-1"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_recorded_steps_come_to_the_same_bits(job, digits, tmp_path, model, precision):
    """With dropout, whose masks a replay must draw anew, and a last batch that is smaller and taken by itself."""
    job = dataclasses.replace(job, model=model, precision=precision)
    train(job, digits, tmp_path / "recorded", progress=False)
    train(dataclasses.replace(job, cuda_graph=False), digits, tmp_path / "by itself", progress=False)
    told = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("recorded", "by itself")]
    assert [each["cuda_graph"] for each in told] == [True, False]
    for file in ARGUED:
        assert (tmp_path / "recorded" / file).read_bytes() == (tmp_path / "by itself" / file).read_bytes(), file


def test_recorded_steps_on_paths_come_to_the_same_bits(path_job, tmp_path):
    train_paths(path_job, tmp_path / "recorded", progress=False)
    train_paths(dataclasses.replace(path_job, cuda_graph=False), tmp_path / "by itself", progress=False)
    for file in ARGUED:
        assert (tmp_path / "recorded" / file).read_bytes() == (tmp_path / "by itself" / file).read_bytes(), file


def not_waited_for(training, monkeypatch):
    """Lets every step of the training but an epoch's first fail where the host waits for the GPU."""
    take_steps = training.take_steps

    def guarded(batches):
        try:
            for number, batch in enumerate(batches):
                if number == 1:
                    torch.cuda.set_sync_debug_mode("error")
                yield batch
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(training, "take_steps", lambda batches, *more: take_steps(guarded(batches), *more))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_no_step_waits_for_the_gpu(job, digits, tmp_path, precision, monkeypatch):
    training = start_training(dataclasses.replace(job, precision=precision), digits, tmp_path)
    training.run_epoch(0, False)
    not_waited_for(training, monkeypatch)
    training.run_epoch(1, False)


def test_no_step_on_paths_waits_for_the_gpu(path_job, tmp_path, monkeypatch):
    training = start_training_paths(path_job, make_shortest_paths(path_job.recipe.data, 0), tmp_path)
    training.run_epoch(0, False)
    not_waited_for(training, monkeypatch)
    training.run_epoch(1, False)


def test_the_guard_sees_a_step_that_waits(job, digits, tmp_path, monkeypatch):
    training = start_training(job, digits, tmp_path)
    not_waited_for(training, monkeypatch)
    step = training.optimizer.step
    monkeypatch.setattr(
        training.optimizer, "step", lambda: (step(), float(next(training.model.parameters()).detach().sum()))
    )
    with pytest.raises(RuntimeError, match="synchroniz"):
        training.run_epoch(0, False)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compiled_training_ends_as_uncompiled(job, digits, tmp_path, precision):
    job = dataclasses.replace(job, precision=precision, recipe=dataclasses.replace(job.recipe, dropout=0.0, cutout=0))
    compiled = train(dataclasses.replace(job, compile=True), digits, tmp_path / "compiled", progress=False)
    eager = train(job, digits, tmp_path / "eager", progress=False)
    assert compiled["train_loss"] == pytest.approx(eager["train_loss"], rel=0.1)
    assert compiled["test"]["error"] < 30


@pytest.mark.slow
def test_compiled_training_on_paths_ends_as_uncompiled(path_job, tmp_path):
    compiled = train_paths(dataclasses.replace(path_job, compile=True), tmp_path / "compiled", progress=False)
    eager = train_paths(path_job, tmp_path / "eager", progress=False)
    assert compiled["train_loss"] == pytest.approx(eager["train_loss"], rel=0.1)
