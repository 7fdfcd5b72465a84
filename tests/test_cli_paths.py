"""Shortest paths from the command line: what is refused in one line, and a run that is killed."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest

from softshare.cli import main

TINY = ["--model", "scnn-3", "--dataset", "shortest-paths", "--epochs", "2", "--quiet", "--threads", "1"]
TINY += ["--device", "cpu"]


@pytest.fixture
def recipe(tmp_path):
    """A recipe that takes seconds."""
    file = tmp_path / "small.yaml"
    settings = "{side: 8, windows: [3, 5], train: 40, test: 6, batch_size: 8}"
    file.write_text(f"extends: paths\ntask: shortest-paths\nsettings: {settings}\n")
    return ["--recipe", str(file)]


def test_a_run_of_a_recipe_and_what_else_reads_it(recipe, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", *TINY, *recipe, "--out", str(out)]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    first, second = metrics["test"]["f1"]
    said = capsys.readouterr().out
    assert f"test F1 {first:.3f}, {second:.3f} at the end of each phase after 4 epochs" in said
    assert metrics["recipe"] == "small"
    assert main(["similarity", str(out)]) == 0
    assert "layers: chance level" in capsys.readouterr().out
    for command in (["evaluate", str(out)], ["fold", str(out), "--out", str(tmp_path / "folded")]):
        assert main(command) == 2
        assert "was trained on no images" in capsys.readouterr().err
    assert not (tmp_path / "folded").exists()


def test_paths_is_the_recipe_where_none_is_told(tmp_path, capsys):
    assert main(["train", *TINY, "--out", str(tmp_path / "out"), "--coefficients", "zero"]) == 2
    assert "command line: coefficients: 'zero'" in capsys.readouterr().err


BAD = {
    "a network for paths on images": (["--dataset", "digits"], ["model: 'scnn-3'", "made for shortest-paths, not for"]),
    "a network for images on paths": (["--model", "wrn-16-1"], ["model: 'wrn-16-1'", "for instance scnn-20"]),
    "a recipe for images": (
        ["--recipe", "cifar"],
        ["recipe: 'cifar'", "is of task images", "shortest-paths needs one"],
    ),
    "a recipe of no name": (["--recipe", "path"], ["recipe: 'path'", "did you mean 'paths'"]),
    "a setting of images": (["--dropout", "0.3"], ["command line: dropout: 0.3: unknown key"]),
    "no layers to make alike": (
        ["--model", "cnn-3", "--recipe", "paths-recurrent"],
        ["recurrence: 0.01", "no shared layers", "not cnn-3"],
    ),
    "an identity that does not fit": (
        ["--model", "scnn-3-2", "--coefficients", "identity"],
        ["coefficients: 'identity'", "one template per layer"],
    ),
    "data": (["--data", "/absent"], ["data: '/absent': shortest paths are generated, not read; leave --data out"]),
    "epochs": (["--epochs", "0"], ["epochs: 0"]),
    "a seed": (["--seed", "-1"], ["seed: -1"]),
}


@pytest.mark.attack("bad input: commands, names, recipes, runs, checkpoints, images")
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_nothing_is_written(case, tmp_path, capsys, monkeypatch):
    arguments, said = BAD[case]
    monkeypatch.chdir(tmp_path)
    assert main(["train", *TINY, *arguments, "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith("softshare: error: ")
    assert all(part in captured.err for part in said), captured.err
    assert list(tmp_path.rglob("*")) == []


def test_a_recipe_for_paths_on_images_is_refused(tmp_path, capsys):
    arguments = ["--model", "swrn-16-1", "--dataset", "digits", "--recipe", "paths", "--out", str(tmp_path / "out")]
    assert main(["train", *arguments]) == 2
    assert "is of task shortest-paths; digits needs one of task images" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_in_its_phases_it_ends_with_the_same_bits(recipe, tmp_path):
    command = [sys.executable, "-m", "softshare", "train", *TINY, *recipe, "--out"]
    subprocess.run([*command, tmp_path / "whole"], check=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while True:
        killed = subprocess.Popen([*command, tmp_path / "killed"], stdout=subprocess.DEVNULL)
        while killed.poll() is None and not (tmp_path / "killed" / "history.csv").exists():
            assert time.monotonic() < deadline
            time.sleep(0.002)
        killed.send_signal(signal.SIGKILL)
        if killed.wait() == -signal.SIGKILL and not (tmp_path / "killed" / "metrics.json").exists():
            break
        assert killed.returncode in (0, -signal.SIGKILL) and time.monotonic() < deadline
        shutil.rmtree(tmp_path / "killed")  # it was done before: that is no kill
    assert (tmp_path / "killed" / "checkpoint.pt").exists()
    subprocess.run([*command, tmp_path / "killed"], check=True, stdout=subprocess.DEVNULL)
    for name in ("model.safetensors", "metrics.json", "similarity.npz", "predictions.npz"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name


def test_the_loader_of_a_workflow_is_no_matter_of_theirs(recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SOFTSHARE_LOADER", "ffcv")
    assert main(["train", *TINY, *recipe, "--out", str(tmp_path / "run")]) == 0
    assert main(["train", *TINY, *recipe, "--loader", "ffcv", "--out", str(tmp_path / "other")]) == 2
    assert "loader: 'ffcv': shortest paths are generated in memory; use auto or tensor" in capsys.readouterr().err
