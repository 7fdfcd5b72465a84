"""A run on photographs: its folder, the same bits for any number of processes and after a kill, and what it is told."""

import dataclasses
import io
import json
import shutil
import tarfile

import pytest
import torch
import yaml

from softshare.cli import main
from softshare.data.photograph_sets import load_photographs
from softshare.models import create_model
from softshare.recipes import load_recipe
from softshare.training import engine
from softshare.training.engine import train
from softshare.training.job import Job
from softshare.training.photograph_recipe import PhotographRecipe

SMALL = {"epochs": 2, "batch_size": 4, "crop": 32, "resize": 36, "learning_rate": 0.02}


@pytest.fixture
def tree(photograph_tree, tmp_path):
    return photograph_tree(tmp_path / "tree")


@pytest.fixture
def job():
    recipe = PhotographRecipe.from_settings(load_recipe("imagenet") | SMALL)
    return Job("folder", "swrn-16-1", "imagenet", recipe, seed=0, device=torch.device("cpu"), precision="fp32")


def same_bits(first, second):
    for name in ("model.safetensors", "metrics.json", "similarity.npz"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_processes_change_no_bit_and_a_kill_neither(job, tree, tmp_path, monkeypatch):
    photographs = load_photographs("folder", tree)
    train(job, photographs, tmp_path / "alone", progress=False)
    train(dataclasses.replace(job, workers=2), photographs, tmp_path / "two", progress=False)
    same_bits(tmp_path / "alone", tmp_path / "two")

    class Killed(BaseException):
        pass

    def killed(self, progress=False):
        raise Killed

    with monkeypatch.context() as patch:
        score = engine._Training._score
        patch.setattr(engine._Training, "_score", lambda self, *a: killed(self) if self.epoch else score(self, *a))
        with pytest.raises(Killed):
            train(job, photographs, tmp_path / "killed", progress=False)
    assert (tmp_path / "killed" / "checkpoint.pt").exists()
    torch.rand(7)
    train(job, photographs, tmp_path / "killed", progress=False)
    same_bits(tmp_path / "alone", tmp_path / "killed")


def test_held_out_photographs(job, tree, tmp_path):
    job = dataclasses.replace(job, recipe=dataclasses.replace(job.recipe, validation=0.25, epochs=1))
    metrics = train(job, load_photographs("folder", tree), tmp_path / "run", progress=False)
    assert metrics["validation"]["images"] == 3 and metrics["test"]["images"] == 6
    assert len(json.loads((tmp_path / "run" / "validation_indices.json").read_text())) == 3


@pytest.fixture
def recipe_file(tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump({"extends": "imagenet", "task": "photographs", "settings": SMALL | {"epochs": 1}}))
    return file


def command(tree, recipe, out, *more, dataset="imagenet", model="swrn-16-1"):
    given = ["--model", model, "--dataset", dataset, "--recipe", recipe, "--data", tree, "--out", out, "--quiet"]
    return main(["train", *map(str, given), "--device", "cpu", "--cache", str(out.parent / "cache"), *more])


def test_a_run_of_imagenet_from_the_command_line_to_its_folding(tree, recipe_file, three_synsets, tmp_path, capsys):
    out = tmp_path / "run"
    assert command(tree, recipe_file, out, "--limit", "5", "--workers", "0") == 0
    told = capsys.readouterr().out
    assert "imagenet: limited to 5 photographs a split: 12 in train, 6 in validation" in told and "on 5 images" in told
    manifest, metrics = (json.loads((out / f"{name}.json").read_text()) for name in ("manifest", "metrics"))
    assert manifest["settings"]["limit"] == 5 and manifest["loader"] == "torchvision"
    data = manifest["dataset"]
    assert data["train_images"] == data["test_images"] == 5 and len(data["notes"]) == 1 and data["left_out"] == []
    assert metrics["parameters"] == sum(p.numel() for p in create_model("swrn-16-1", 3).parameters())
    where = ["--data", str(tree), "--cache", str(tmp_path / "cache"), "--device", "cpu"]
    assert main(["evaluate", str(out), *where]) == 0
    assert f"test error {metrics['test']['error']:.2f} %, top-5 0.00 %, on 5 images" in capsys.readouterr().out
    assert main(["similarity", str(out)]) == 0 and "stage1" in capsys.readouterr().out
    assert main(["fold", str(out), "--threshold", "0.5", "--reestimate-on", "4", *where]) == 0
    folded = json.loads((out / "folding" / "folding.json").read_text())
    assert folded["test_images"] == 5 and folded["reestimated_on"] == 4
    shutil.rmtree(tree / "train" / "n00000003")
    assert main(["evaluate", str(out), *where]) == 2
    assert "is not the data that the run was trained on" in capsys.readouterr().err


def test_damage_is_refused_or_left_out_and_told(tree, recipe_file, three_synsets, tmp_path, capsys):
    file = next((tree / "train" / "n00000001").iterdir())
    file.write_bytes(file.read_bytes()[:100])
    assert command(tree, recipe_file, tmp_path / "run") == 2
    assert "cannot be decoded" in (error := capsys.readouterr().err) and error.count("\n") == 1
    assert not (tmp_path / "run").exists()
    assert command(tree, recipe_file, tmp_path / "run", "--allow-damaged") == 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["dataset"]["left_out"] == [str(file)] and manifest["settings"]["allow_damaged"] is True
    check = ["data", "check", "imagenet", "--data", str(tree), "--cache", str(tmp_path / "cache")]
    capsys.readouterr()
    assert main(check) == 2 and main([*check, "--allow-damaged", "--out", str(tmp_path / "facts.json")]) == 0
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["train_images"] == 11 and facts["left_out"] == [str(file)]


def test_what_does_not_fit_is_refused_in_one_line(tree, recipe_file, three_synsets, tmp_path, capsys):
    cases = [
        ({"dataset": "cifar10"}, (), "is of task photographs; cifar10 needs one of task images"),
        ({"dataset": "imagnet"}, (), "unknown dataset; did you mean 'imagenet'"),
        ({"model": "cnn-20"}, (), "is made for shortest-paths, not for imagenet"),
        ({"model": "swrn-50-2-2"}, ("--coefficients", "identity"), "needs one template per layer"),
        ({}, ("--dropout", "0.3"), "command line: dropout: 0.3: unknown key"),
        ({}, ("--limit", "-3"), "command line: limit"),
        ({}, ("--workers", "-3"), "workers: -3: must be from 0 to 1,024"),
        ({}, ("--batch-size", "0"), "batch_size"),
    ]
    for changes, more, wanted in cases:
        assert command(tree, recipe_file, tmp_path / "run", *more, **changes) == 2, wanted
        error = capsys.readouterr().err
        assert wanted in error and error.count("\n") == 1, error
        assert not (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.long
def test_the_shared_network_of_table_3_is_trained_on_an_archive(encoded, tmp_path, capsys):
    """SWRN 50-2 with the outputs and the classes of ImageNet; small photographs of two of these."""
    archive = tmp_path / "few.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for seed, synset in enumerate(("n01440764", "n01601694")):
            member = tarfile.TarInfo(f"few/{synset}/{synset}_1.JPEG")
            content = encoded(seed, (70, 80))
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    recipe = tmp_path / "few.yaml"
    settings = SMALL | {"epochs": 1, "batch_size": 2, "crop": 64, "resize": 64}
    recipe.write_text(yaml.safe_dump({"extends": "imagenet", "task": "photographs", "settings": settings}))
    given = ("--limit", "2", "--workers", "0", "--precision", "fp32")
    assert command(archive, recipe, tmp_path / "run", *given, model="swrn-50-2") == 0
    assert "errors are measured on the training photographs themselves" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["model"] == "swrn-50-2" and metrics["parameters"] == 68_883_422
    test = metrics["test"]
    assert test["images"] == 2 and {test["error"], test["top5_error"]} <= {0.0, 50.0, 100.0}
    assert test["top5_error"] <= test["error"] and test["loss"] > 0
