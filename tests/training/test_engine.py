"""A run: what it leaves, that it resumes to the bit, and what stops it."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from softshare.errors import UserError
from softshare.evidence.similarity.reading import describe_run, read_unshared
from softshare.models import create_model
from softshare.models.weights import load_weights
from softshare.training import engine, resumable
from softshare.training.divergence import DivergedError
from softshare.training.engine import start_training, train

FILES = ["history.csv", "manifest.json", "metrics.json", "model.safetensors", "similarity.npz"]


def same_bits(first, second):
    for name in ("model.safetensors", "metrics.json", "similarity.npz"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_a_run_leaves_its_folder(job, images, tmp_path):
    metrics = train(job, images, tmp_path, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    assert metrics["parameters"] == sum(p.numel() for p in create_model("swrn-16-1-1", 6).parameters())
    assert metrics["epochs"] == 3 and metrics["test"]["images"] == 30 and metrics["validation"] is None
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["test_error"]) == metrics["test"]["error"]
    assert min(float(row["test_error"]) for row in rows) == metrics["best"]["error"]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["dataset"]["fingerprint"] == "0" * 64
    assert manifest["settings"]["model"] == "swrn-16-1-1" and manifest["settings"]["dropout"] == 0.3
    assert "/" not in manifest["argv"][0]
    assert manifest["precision"] == "fp32" and torch.__version__.startswith(manifest["versions"]["torch"])
    assert manifest["peak_memory_bytes"] > 1e7 and manifest["wall_seconds"] >= manifest["device_seconds"] > 0


def test_similarity_is_stored_at_the_epochs_asked_for(with_settings, images, tmp_path):
    job = dataclasses.replace(with_settings(epochs=4, similarity_at=(0.25, 0.5)), model="swrn-22-1-2")
    train(job, images, tmp_path, progress=False)
    stored = np.load(tmp_path / "similarity.npz", allow_pickle=False)
    assert stored["epochs"].tolist() == [1, 2, 4]
    assert stored["groups"].tolist() == ["stage1", "stage2", "stage3"]
    final = load_weights(create_model("swrn-22-1-2", 6), tmp_path / "model.safetensors")
    state = final.state_dict()["stage2.1.conv1.template_bank.coefficients"]
    assert np.array_equal(stored["stage2/coefficients"][-1], state.numpy())
    assert stored["stage2/weights"].shape == (3, 4, 4) and stored["stage2/chance"].shape == (2,)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_all_parameters_are_updated_by_one_operation_and_in_channels_last(with_settings, images, tmp_path, optimizer):
    training = start_training(with_settings(optimizer=optimizer), images, tmp_path)
    assert training.optimizer.defaults["fused"] is True
    assert type(training.optimizer).__name__.lower() == optimizer
    weight = training.model.stage2[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()


def test_of_a_plain_network_the_similarity_of_layers_that_would_share_is_stored(job, images, tmp_path):
    train(dataclasses.replace(job, model="wrn-22-1"), images, tmp_path, progress=False)
    assert np.load(tmp_path / "similarity.npz")["groups"].size == 0
    found = read_unshared(tmp_path / "similarity.npz")
    assert list(found) == ["stage1", "stage2", "stage3"]
    weights = load_file(tmp_path / "model.safetensors")
    first, second = (weights[f"stage2.{layer}.weight"].double().flatten() for layer in ("1.conv2", "2.conv1"))
    expected = abs(torch.nn.functional.cosine_similarity(first, second, dim=0)).item()
    assert found["stage2"].shape == (4, 4) and found["stage2"][1, 2] == pytest.approx(expected, abs=1e-6)
    assert expected > 1e-4 and found["stage2"].diagonal() == pytest.approx(np.ones(4))
    assert "stage2, which share nothing: weights:\n  1.00" in describe_run(tmp_path)


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("where", ["before the checkpoint", "within the epoch", "after the checkpoint"])
def test_a_killed_run_ends_with_the_same_bits(job, images, tmp_path, monkeypatch, epoch, where):
    train(job, images, tmp_path / "whole", progress=False)

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        run_epoch, save = engine._Training.run_epoch, engine._Training.save
        if where == "after the checkpoint":
            patch.setattr(engine._Training, "save", lambda self: (save(self), self.epoch == epoch and killed()))
        elif where == "before the checkpoint":
            patch.setattr(engine._Training, "save", lambda self: killed() if self.epoch == epoch else save(self))
        else:

            def until(self, number, progress):
                if number == epoch:
                    patch.setattr(self, "_score", killed)
                run_epoch(self, number, progress)

            patch.setattr(engine._Training, "run_epoch", until)
        with pytest.raises(Killed):
            train(job, images, tmp_path / "killed", progress=False)
    assert not (tmp_path / "killed" / "metrics.json").exists()
    torch.rand(17)  # the state of the global generator must not matter
    train(job, images, tmp_path / "killed", progress=False)
    same_bits(tmp_path / "whole", tmp_path / "killed")


def test_a_run_that_is_resumed_with_other_code_tells_of_both(job, images, tmp_path, monkeypatch):
    told = {"argv": [], "commit": "a", "dirty": False, "code": "c", "versions": {"torch": "2"}, "platform": ""}

    def killed(_):
        raise Killed

    for epoch, code in ((1, "a"), (2, "a"), (3, "b")):
        with monkeypatch.context() as patch:
            patch.setattr(resumable, "provenance", lambda code=code: told | {"commit": code})
            if epoch < 3:
                save = engine._Training.save
                patch.setattr(engine._Training, "save", lambda self, save=save: (save(self), killed(self)))
                with pytest.raises(Killed):
                    train(job, images, tmp_path, progress=False)
            else:
                train(job, images, tmp_path, progress=False)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    stretches = [(stretch["first_epoch"], stretch["commit"]) for stretch in manifest["stretches"]]
    assert stretches == [(1, "a"), (3, "b")] and manifest["commit"] == "b"


def test_a_run_that_goes_on_elsewhere_tells_each_device(job, images, tmp_path, monkeypatch):
    def killed(*_):
        raise Killed

    monkeypatch.setattr(resumable, "describe_device", lambda device: "one CPU")
    with monkeypatch.context() as patch:
        save = engine._Training.save
        patch.setattr(engine._Training, "save", lambda self: (save(self), killed()))
        with pytest.raises(Killed):
            train(job, images, tmp_path, progress=False)
    monkeypatch.setattr(resumable, "describe_device", lambda device: "another CPU")
    train(job, images, tmp_path, progress=False)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    told = [(stretch["first_epoch"], stretch["device"]) for stretch in manifest["stretches"]]
    assert told == [(1, "one CPU"), (2, "another CPU")] and manifest["device"] == "another CPU"


def test_a_run_tells_the_code_that_it_began_with(job, images, tmp_path, monkeypatch):
    """A commit made while it trains is none of its."""
    run_epoch = engine._Training.run_epoch

    def committed(self, *arguments):
        monkeypatch.setattr(resumable, "provenance", None)
        run_epoch(self, *arguments)

    monkeypatch.setattr(engine._Training, "run_epoch", committed)
    train(job, images, tmp_path, progress=False)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (stretch,) = manifest["stretches"]
    assert stretch["first_epoch"] == 1 and stretch["commit"] == manifest["commit"]
    assert stretch["code"] == manifest["code"] and len(manifest["code"]) == 64


def test_a_c_compiler_and_threads_are_part_of_a_run_on_a_cpu_alone(job):
    on_gpu = dataclasses.replace(job, device=torch.device("cuda")).identity("f")
    assert job.identity("f").keys() - on_gpu.keys() == {"threads", "compiled synthesis"}


def test_the_same_seed_gives_the_same_bits_and_another_one_others(job, images, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(dataclasses.replace(job, seed=seed), images, tmp_path / name, progress=False)
    same_bits(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a/model.safetensors").read_bytes() != (tmp_path / "c/model.safetensors").read_bytes()


def test_a_complete_run_is_left_as_it_is(job, images, tmp_path, monkeypatch):
    metrics = train(job, images, tmp_path, progress=False)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    monkeypatch.setattr(engine, "_Training", None)
    assert train(job, images, tmp_path, progress=False) == metrics
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("where", ["loss_of", "evaluate"])
def test_a_run_that_diverged_says_so_in_its_folder_until_it_ends_after_all(job, images, tmp_path, monkeypatch, where):
    epochs = []
    run_epoch, place = engine._Training.run_epoch, engine._Training if where == "loss_of" else engine
    real = getattr(place, where)

    def told_epoch(self, epoch, progress):
        epochs.append(epoch)
        run_epoch(self, epoch, progress)

    def no_number(*arguments):
        if epochs[-1] < 1:
            return real(*arguments)
        if where == "evaluate":
            raise DivergedError("the loss on test images is no number")
        return real(*arguments) * float("nan")

    with monkeypatch.context() as patch:
        patch.setattr(engine._Training, "run_epoch", told_epoch)
        patch.setattr(place, where, no_number)
        with pytest.raises(DivergedError, match=r"is no number at .*epoch 2"):
            train(job, images, tmp_path, progress=False)
    told = json.loads((tmp_path / "diverged.json").read_text())
    assert told["epoch"] == 2 and "is no number at" in told["reason"]
    assert told["settings"] == job.key | job.recipe.settings() and told["identity"]["precision"] == job.precision
    assert len(told["code"]) == 64 and not (tmp_path / "metrics.json").exists()
    with monkeypatch.context() as patch:  # stopped as it was tried again: no longer what diverged
        patch.setattr(engine._Training, "run_epoch", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(job, images, tmp_path, progress=False)
    assert not (tmp_path / "diverged.json").exists()
    train(job, images, tmp_path, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES


@pytest.mark.parametrize("complete", [True, False])
def test_a_folder_of_another_run_is_refused_and_left_alone(job, with_settings, images, tmp_path, monkeypatch, complete):
    if complete:
        train(job, images, tmp_path, progress=False)
    else:
        with monkeypatch.context() as patch:
            patch.setattr(engine._Training, "finish", lambda self: {})
            train(job, images, tmp_path, progress=False)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=r"learning_rate.*0\.1.*0\.2"):
        train(with_settings(learning_rate=0.2), images, tmp_path, progress=False)
    with pytest.raises(UserError, match="fingerprint"):
        train(job, dataclasses.replace(images, fingerprint="1" * 64), tmp_path, progress=False)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_refused_before_any_training(job, images, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(engine._Training, "run_epoch", None)
    with pytest.raises(UserError, match=r"file/run: cannot be written"):
        train(job, images, tmp_path / "file" / "run", progress=False)


def test_a_loss_that_is_no_number_stops_the_run(with_settings, images, tmp_path):
    with pytest.raises(UserError, match=r"no number at epoch 1, step \d"):
        train(with_settings(learning_rate=1e30), images, tmp_path, progress=False)
    assert not (tmp_path / "metrics.json").exists()


def test_validation_is_held_out_by_the_seed_and_stored(with_settings, images, tmp_path):
    metrics = train(with_settings(validation=0.1), images, tmp_path, progress=False)
    held_out = json.loads((tmp_path / "validation_indices.json").read_text())
    assert len(held_out) == 9 and metrics["validation"]["images"] == 9
    assert "validation_error" in (tmp_path / "history.csv").read_text().splitlines()[0]
    training = engine._Training(with_settings(validation=0.1), images, tmp_path / "again")
    assert training.loaders.held_out == held_out and training.loaders.train.count == 81


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_a_split_that_leaves_nothing_is_refused(with_settings, images, tmp_path, share):
    with pytest.raises(UserError, match=f"validation: {share}"):
        train(with_settings(validation=share), images, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_coefficients_alone_escape_decay(job, images, tmp_path):
    training = engine._Training(job, images, tmp_path)
    decays = {id(p): group["weight_decay"] for group in training.optimizer.param_groups for p in group["params"]}
    for name, parameter in training.model.named_parameters():
        assert decays[id(parameter)] == (0.0 if name.endswith("coefficients") else 5e-4), name


def test_the_penalty_hardens_the_sharing(with_settings, images, tmp_path):
    for weight in (0.0, 1.0):
        job = dataclasses.replace(with_settings(recurrence=weight, epochs=6), model="swrn-22-1")
        train(job, images, tmp_path / str(weight), progress=False)

    def off_diagonal(folder):
        stored = np.load(folder / "similarity.npz")
        rows = stored["stage2/coefficients"][-1]
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return np.abs(unit @ unit.T)[~np.eye(4, dtype=bool)].mean()

    assert off_diagonal(tmp_path / "1.0") > off_diagonal(tmp_path / "0.0") + 0.2


def test_it_learns(with_settings, images, tmp_path):
    job = with_settings(epochs=15, dropout=0.0, cutout=0)
    assert train(job, images, tmp_path, progress=False)["test"]["error"] < 40  # chance: 83


def test_bf16_trains(job, images, tmp_path):
    metrics = train(dataclasses.replace(job, precision="bf16"), images, tmp_path, progress=False)
    assert np.isfinite(metrics["test"]["loss"])
    assert load_file(tmp_path / "model.safetensors")["stem.weight"].dtype == torch.float32


@pytest.mark.long
def test_compiled_training_resumes_too(job, images, tmp_path, monkeypatch):
    compiled = dataclasses.replace(job, compile=True)
    train(compiled, images, tmp_path / "whole", progress=False)
    save = engine._Training.save
    with monkeypatch.context() as patch:

        def stop(self):
            save(self)
            raise Killed

        patch.setattr(engine._Training, "save", stop)
        with pytest.raises(Killed):
            train(compiled, images, tmp_path / "killed", progress=False)
    train(compiled, images, tmp_path / "killed", progress=False)
    same_bits(tmp_path / "whole", tmp_path / "killed")


def test_a_loss_that_is_no_number_on_test_images_is_one_line():
    from softshare.data.loaders import TensorLoader
    from softshare.training.evaluation import evaluate

    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 6))
    model[1].weight.data.fill_(float("nan"))
    images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    loader = TensorLoader(images, torch.arange(4), batch_size=2, mean=(0.0,) * 3, std=(1.0,) * 3)
    with pytest.raises(UserError, match="no number"):
        evaluate(model, model, loader, "fp32")


def test_fp16_scales_its_loss_and_resumes_to_the_bit(job, images, tmp_path, monkeypatch):
    """On a GPU, where the same lines run; a CPU lends itself to the test alone."""
    monkeypatch.setattr("softshare.training.device.GPU_ALONE", ())
    in_fp16 = dataclasses.replace(job, precision="fp16")
    training = engine._Training(in_fp16, images, tmp_path / "stopped")
    assert training.scaler.is_enabled() and training.state()["scaler"]["scale"] > 1
    training.run_epoch(0, progress=False)
    training.save()
    train(in_fp16, images, tmp_path / "stopped", progress=False)
    train(in_fp16, images, tmp_path / "whole", progress=False)
    same_bits(tmp_path / "stopped", tmp_path / "whole")
