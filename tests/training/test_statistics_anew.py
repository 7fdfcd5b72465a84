"""Batch norm's statistics estimated anew after each epoch: what they are, and that training knows nothing of them."""

import csv
import dataclasses
import json
from types import SimpleNamespace

import pytest
import torch

from softshare.data.shortest_paths import PathSet, make_shortest_paths
from softshare.errors import UserError
from softshare.files import project_root
from softshare.models import create_model
from softshare.models.weights import load_weights
from softshare.recipes import load_recipe
from softshare.scales import load_scale
from softshare.training import path_engine
from softshare.training.job import Job
from softshare.training.path_engine import train_paths
from softshare.training.path_evaluation import evaluate_paths, with_statistics_anew
from softshare.training.path_recipe import PathRecipe

SMALL = {"side": 8, "windows": [3, 5], "train": 20, "test": 6, "epochs": 2, "batch_size": 8}
ANEW = 18  # of the 20, in batches of 8, 8 and 2
COLUMNS = ["epoch", "phase", "train_loss", "test_loss", "test_f1", "seconds", "evaluation_seconds"]
PUBLISHED = project_root() / "reports" / "published" / "compact" / "runs" / "shortest-paths"


@pytest.fixture
def job():
    recipe = PathRecipe.from_settings(load_recipe("paths-recurrent") | SMALL)
    return Job("shortest-paths", "scnn-3", "paths", recipe, seed=0, device=torch.device("cpu"), precision="fp32")


def with_anew(job, count=ANEW):
    return dataclasses.replace(job, recipe=dataclasses.replace(job.recipe, statistics_anew=count))


def rows(folder):
    return list(csv.DictReader((folder / "history.csv").open()))


def without(row, *words):
    return {key: value for key, value in row.items() if not any(word in key for word in words)}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("model", ["scnn-3", "cnn-3", "rnn-3"])
def test_training_goes_to_the_same_bits(job, tmp_path, model, precision):
    recurrence = job.recipe.recurrence if model == "scnn-3" else 0.0
    job = dataclasses.replace(job, recipe=dataclasses.replace(job.recipe, recurrence=recurrence))
    job = dataclasses.replace(job, model=model, precision=precision)
    plain = train_paths(job, tmp_path / "plain", progress=False)
    anew = train_paths(with_anew(job), tmp_path / "anew", progress=False)
    for name in ("model.safetensors", "similarity.npz", "predictions.npz"):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "anew" / name).read_bytes(), name
    assert plain == without(anew, "anew") and "anew" in anew
    told = [without(row, "seconds", "anew") for row in rows(tmp_path / "anew")]
    assert told == [without(row, "seconds") for row in rows(tmp_path / "plain")]


def test_without_them_a_run_leaves_what_it_always_left(job, tmp_path):
    train_paths(with_anew(job, 0), tmp_path, progress=False)
    assert list(rows(tmp_path)[0]) == COLUMNS
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert "statistics_anew" not in manifest["settings"].keys() | manifest["identity"].keys()
    assert "anew" not in json.loads((tmp_path / "metrics.json").read_text())


def test_a_checkpoint_made_before_there_was_such_a_setting_goes_on(job, tmp_path):
    data = make_shortest_paths(job.recipe.data, 0)
    training = path_engine._Training(job, data, tmp_path)
    training.run_epoch(0, progress=False)
    state = training.state()
    assert "anew" not in state and "statistics_anew" not in state["identity"]
    training.save()
    assert path_engine._Training(job, data, tmp_path).epoch == 1


@pytest.mark.parametrize("manifest", sorted(PUBLISHED.rglob("manifest.json")), ids=lambda file: file.parent.parent.name)
def test_published_runs_are_of_today_s_recipes(manifest):
    found = json.loads(manifest.read_text())
    recipe = PathRecipe.from_settings(load_recipe(found["settings"]["recipe"], load_scale("compact")))
    key = {name: found["settings"][name] for name in ("dataset", "model", "recipe", "seed")}
    assert key | recipe.settings() == found["settings"]
    assert list(rows(manifest.parent)[0])[: len(COLUMNS)] == COLUMNS or recipe.statistics_anew


@torch.no_grad()
def naive_statistics(model, examples, count, batch_size):
    """Mean and variance before each norm, over batches one by one, by plain operations."""
    model.train()
    seen = [[] for _ in model.layers]
    for start in range(0, count, batch_size):
        x = model.encode(examples.inputs[start : min(start + batch_size, count)].float())
        for layer, found in zip(model.layers, seen, strict=True):
            y = layer.conv(x).double()
            mean, variance = y.mean((0, 2, 3)), y.var((0, 2, 3), unbiased=False)
            found.append((mean, y.var((0, 2, 3), unbiased=True)))
            scale, shift = layer.norm.weight[:, None, None], layer.norm.bias[:, None, None]
            unit = (y - mean[:, None, None]) / (variance + layer.norm.eps).sqrt()[:, None, None]
            x = x + (unit * scale + shift).relu().float()
    return [[torch.stack(each).mean(0) for each in zip(*found, strict=True)] for found in seen]


def test_they_are_those_of_a_naive_reckoning(job, tmp_path):
    metrics = train_paths(with_anew(job), tmp_path, progress=False)
    weights = tmp_path / "model.safetensors"
    model = load_weights(create_model("scnn-3"), weights).to(memory_format=torch.channels_last)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    data = make_shortest_paths(job.recipe.data, 0).phases[-1]
    first = PathSet(data.train.inputs[:ANEW], data.train.labels[:ANEW])
    found = with_statistics_anew(model.eval(), first, 8, "fp32")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()) and not model.training
    naive = load_weights(create_model("scnn-3"), weights)
    for layer, reference, (mean, variance) in zip(
        found.layers, naive.layers, naive_statistics(naive, data.train, ANEW, 8), strict=True
    ):
        torch.testing.assert_close(layer.norm.running_mean.double(), mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(layer.norm.running_var.double(), variance, rtol=1e-4, atol=1e-5)
        assert layer.norm.momentum == 0.1
        reference.norm.running_mean = mean.float()
        reference.norm.running_var = variance.float()
    wanted = evaluate_paths(naive, naive, data.test, "fp32")
    last = rows(tmp_path)[-1]
    assert float(last["anew_loss"]) == pytest.approx(wanted.loss, rel=1e-3)
    assert float(last["anew_loss"]) != pytest.approx(float(last["test_loss"]), rel=1e-3)
    assert float(last["anew_f1"]) == pytest.approx(wanted.f1, abs=0.02)  # a logit near 0 may change sides
    ends = metrics["anew"]
    assert ends["test"]["f1"] == [float(row["anew_f1"]) for row in rows(tmp_path)[1::2]]
    assert ends["test"]["loss"] == [float(row["anew_loss"]) for row in rows(tmp_path)[1::2]]
    assert [row[phase] for phase, row in enumerate(ends["extrapolation"])] == ends["test"]["f1"]
    assert [len(row) for row in ends["extrapolation"]] == [2, 2]


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("epoch", [1, 2, 3])  # 2: the end of a phase
def test_a_killed_run_ends_with_the_same_bits(job, tmp_path, monkeypatch, epoch):
    job = with_anew(job)
    whole = train_paths(job, tmp_path / "whole", progress=False)
    save = path_engine._Training.save

    def stop(self):
        save(self)
        if self.epoch == epoch:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(path_engine._Training, "save", stop)
        with pytest.raises(Killed):
            train_paths(job, tmp_path / "killed", progress=False)
    assert train_paths(job, tmp_path / "killed", progress=False) == whole
    assert [without(row, "seconds") for row in rows(tmp_path / "killed")] == [
        without(row, "seconds") for row in rows(tmp_path / "whole")
    ]
    for name in ("model.safetensors", "metrics.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_their_time_counts_as_evaluation(job, tmp_path, monkeypatch):
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr(path_engine, "time", clock)

    def slow(*arguments):
        clock.now += 7.0
        return with_statistics_anew(*arguments)

    monkeypatch.setattr(path_engine, "with_statistics_anew", slow)
    train_paths(with_anew(job), tmp_path, progress=False)
    assert {(row["seconds"], row["evaluation_seconds"]) for row in rows(tmp_path)} == {("0.0", "7.0")}


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (21, "statistics_anew: 21: is more than the 20 training examples of a phase"),
        (-1, "statistics_anew: -1"),
        (2.5, "statistics_anew: 2.5"),
        (True, "statistics_anew: True"),
    ],
)
def test_settings_that_cannot_be(count, said):
    with pytest.raises(UserError) as caught:
        PathRecipe.from_settings(load_recipe("paths") | SMALL | {"statistics_anew": count})
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_none_and_no_word_of_them_are_one_recipe(tmp_path):
    file = tmp_path / "none.yaml"
    file.write_text("extends: paths-anew\ntask: shortest-paths\nsettings: {statistics_anew: 0}\n")
    assert load_recipe(str(file)) == load_recipe("paths")
    recipe = PathRecipe.from_settings(load_recipe("paths") | {"statistics_anew": 0})
    assert recipe == PathRecipe.from_settings(load_recipe("paths")) and recipe.settings() == load_recipe("paths")
    assert PathRecipe.from_settings(load_recipe("paths-anew")).settings() == load_recipe("paths-anew")


@pytest.mark.parametrize(("name", "base"), [("paths-anew", "paths"), ("paths-anew-recurrent", "paths-recurrent")])
@pytest.mark.parametrize("scale", ["compact", "paper"])
def test_the_recipes_differ_in_this_alone(name, base, scale):
    settings = load_recipe(name, load_scale(scale))
    assert settings == load_recipe(base, load_scale(scale)) | {"statistics_anew": 720}
    assert PathRecipe.from_settings(settings).settings() == settings
