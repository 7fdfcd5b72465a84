"""Several processes that train one network come to what one comes to with the same batches."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from softshare.data.augment import Augmentation
from softshare.data.loaders import Part, TensorLoader
from softshare.errors import Stopped, UserError
from softshare.training import processes as module
from softshare.training.processes import ALONE, Processes, device_name, left_alone, named_by_torchrun, together

# 1,437 digits in batches of 499: the last batch has 439, which two processes share as 220 and 219.
TRAIN = ["train", "--dataset", "digits", "--model", "swrn-16-1-1", "--recipe", "few-steps.yaml", "--device", "cpu"]
RECIPE = "extends: cifar\ntask: images\nsource: a test\nsettings: {epochs: 3, batch_size: 499, learning_rate: 0.02}\n"
WEIGHTS = "model.safetensors"


def launch(folder, processes, *more):
    (folder / "few-steps.yaml").write_text(RECIPE)
    command = [sys.executable, "-m"]
    if processes > 1:
        command += ["torch.distributed.run", f"--nproc-per-node={processes}", f"--master-port={free_port()}", "-m"]
    return subprocess.Popen(
        [*command, "softshare", *TRAIN, "--threads", "1", "--precision", "fp32", "--quiet", *more],
        cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def free_port():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def train(folder, processes, *more):
    process = launch(folder, processes, *more)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def history(folder):
    return list(csv.DictReader((folder / "history.csv").open()))


def require_same_training(one, two, images):
    """What one process and two came to: the same but for rounding, and each image of the test set counted once."""
    expected, found = load_file(one / WEIGHTS), load_file(two / WEIGHTS)
    assert expected.keys() == found.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=2e-3, atol=2e-4)
    for before, after in zip(history(one), history(two), strict=True):
        assert float(after["train_loss"]) == pytest.approx(float(before["train_loss"]), rel=1e-4)
        assert float(after["test_loss"]) == pytest.approx(float(before["test_loss"]), rel=1e-3)
    for folder in (one, two):
        assert json.loads((folder / "metrics.json").read_text())["test"]["images"] == images


@pytest.fixture(scope="module")
def trained_by_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    code, out, err = train(folder, 2, "--batch-norm", "synchronised", "--out", "run")
    assert code == 0, err
    assert out.count("test error") == 1  # told once
    return folder / "run"


@pytest.mark.slow
def test_two_processes_come_to_what_one_comes_to(trained_by_two, tmp_path):
    code, _, err = train(tmp_path, 1, "--out", "run")
    assert code == 0, err
    one, two = tmp_path / "run", trained_by_two
    assert sorted(path.name for path in two.iterdir()) == sorted(path.name for path in one.iterdir())
    require_same_training(one, two, images=360)
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (one, two)]
    assert abs(metrics[1]["test"]["error"] - metrics[0]["test"]["error"]) <= 100 / 360
    manifest = json.loads((two / "manifest.json").read_text())
    assert manifest["processes"] == 2 and manifest["batch_norm"] == "synchronised"


@pytest.mark.long
def test_two_processes_resume_to_the_bit(trained_by_two, tmp_path):
    command = ["--batch-norm", "synchronised", "--out", "run"]
    process, out = launch(tmp_path, 2, *command), tmp_path / "run"
    while not (out / "history.csv").exists() and process.poll() is None:
        time.sleep(0.02)
    os.kill(int((out / ".lock").read_text().split()[0]), signal.SIGKILL)  # the one that writes
    process.communicate(timeout=120)
    assert process.returncode != 0 and not (out / "metrics.json").exists() and 1 <= len(history(out)) < 3
    code, _, err = train(tmp_path, 2, *command)
    assert code == 0, err
    for name in (WEIGHTS, "metrics.json"):
        assert (out / name).read_bytes() == (trained_by_two / name).read_bytes(), name


PHOTOGRAPHS = """
extends: imagenet
task: photographs
source: a test
settings: {epochs: 2, batch_size: 5, crop: 32, resize: 36, learning_rate: 0.005}
"""


@pytest.mark.long
def test_two_processes_come_to_what_one_comes_to_on_photographs(photograph_tree, tmp_path):
    """12 photographs in batches of 5, 9 to test on: no batch, and no test, is even for two."""
    tree = photograph_tree(tmp_path / "tree", validation=3)
    (tmp_path / "small.yaml").write_text(PHOTOGRAPHS)
    asked = ["--dataset", "folder", "--data", "tree", "--recipe", "small.yaml", "--workers", "1"]
    for processes, more in ((1, ()), (2, ("--batch-norm", "synchronised"))):
        kept = ["--cache", f"cache-{processes}"]
        code, _, err = train(tmp_path, processes, *asked, *kept, *more, "--out", str(processes))
        assert code == 0, err
    one, two = tmp_path / "1", tmp_path / "2"
    assert len(list(tree.glob("val/*/*"))) == 9
    require_same_training(one, two, images=9)
    names = [[file.name for file in (tmp_path / f"cache-{each}").iterdir()] for each in (1, 2)]
    assert len(names[0]) == 1 and names[0] == names[1]  # what was found is kept alike


@pytest.mark.slow
def test_what_two_processes_left_is_no_run_of_one(trained_by_two):
    code, _, err = train(trained_by_two.parent, 1, "--out", "run")
    assert code == 2 and "was left by a run with" in err and "manifest.json" in err


@pytest.mark.long
def test_what_is_wrong_stops_all_processes_with_its_line(tmp_path):
    code, _, err = train(tmp_path, 2, "--out", "run", "--batch-size", "718")  # 1,437 images: the last batch has one
    assert code != 0 and not (tmp_path / "run" / "metrics.json").exists()
    assert "batch_size: 718: leaves a batch of 1 images to 2 processes" in err


@given(
    count=st.integers(1, 40),
    batch_size=st.integers(1, 12),
    processes=st.integers(1, 4),
    shuffle=st.booleans(),
    epoch=st.integers(0, 3),
)
def test_the_parts_of_all_processes_are_the_batches_of_one(count, batch_size, processes, shuffle, epoch):
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(count, 1, 8, 8)
    labels = torch.arange(count)

    def loader(part):
        return TensorLoader(
            images, labels, batch_size=batch_size, mean=(0.5,), std=(0.25,), seed=3, shuffle=shuffle, part=part,
            augmentation=Augmentation(True, 1, "zero", 2) if shuffle else None,
        )  # fmt: skip

    whole = list(loader(Part()).epoch(epoch))
    fewest = min(batch_size, count % batch_size or batch_size)
    if shuffle and fewest < processes:
        with pytest.raises(UserError, match="batch_size"):
            loader(Part(0, processes))
        return
    parts = [list(loader(Part(index, processes)).epoch(epoch)) for index in range(processes)]
    if fewest >= processes:
        for number, (expected, targets) in enumerate(whole):
            for index in range(processes):
                found = parts[index][number]
                assert torch.equal(found[0], expected[index::processes])
                assert torch.equal(found[1], targets[index::processes])
    seen = torch.cat([targets for part in parts for _, targets in part]).sort().values
    assert torch.equal(seen, labels)  # each image once, none twice


def test_what_torchrun_tells_is_read(monkeypatch):
    assert named_by_torchrun() == ALONE
    for name, value in (
        ("RANK", "1"),
        ("WORLD_SIZE", "2"),
        ("LOCAL_RANK", "1"),
        ("MASTER_ADDR", "here"),
        ("MASTER_PORT", "29500"),
    ):
        monkeypatch.setenv(name, value)
    assert named_by_torchrun() == Processes(1, 2, 1) and not named_by_torchrun().first
    monkeypatch.setenv("RANK", "one")
    with pytest.raises(UserError, match="RANK: 'one'"):
        named_by_torchrun()


def test_each_process_takes_the_gpu_of_its_number(monkeypatch):
    second = Processes(1, 2, 1)
    assert device_name("cpu", second) == "cpu" and device_name("cuda", second) == "cuda:1"
    assert device_name("cuda:1", ALONE) == "cuda:1"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_name("auto", second) == "cuda:1" and device_name("auto", ALONE) == "auto"
    with pytest.raises(UserError, match="one device for 2 processes"):
        device_name("cuda:0", second)


@pytest.mark.parametrize(
    "variables",
    [
        {"RANK": "3", "WORLD_SIZE": "1", "LOCAL_RANK": "0"},
        {"RANK": "5", "WORLD_SIZE": "2", "LOCAL_RANK": "0"},
        {"RANK": "0", "WORLD_SIZE": "0", "LOCAL_RANK": "0"},
        {"RANK": "0", "WORLD_SIZE": 5000 * "9", "LOCAL_RANK": "0"},
        {"RANK": "\N{ARABIC-INDIC DIGIT TWO}", "WORLD_SIZE": "4", "LOCAL_RANK": "0"},
        {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"},
        {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "here", "MASTER_PORT": "99999999"},
    ],
)
def test_an_environment_that_names_no_process_is_refused(variables, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"^environment: (RANK|WORLD_SIZE|MASTER_ADDR|MASTER_PORT): .*use torchrun$"):
        named_by_torchrun()


@pytest.fixture
def group(monkeypatch):
    """What is asked of torch's group of processes, of which there is none."""
    asked = []
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)

    def init(backend, *, timeout, device_id):
        assert device_id == (torch.device("cuda", 1) if backend == "nccl" else None)
        asked.append(backend)

    monkeypatch.setattr(torch.distributed, "init_process_group", init)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: asked.append("destroyed"))
    monkeypatch.setattr(module, "_left_alone", [])
    return asked


@pytest.mark.parametrize(("device", "backend"), [("cuda:1", "nccl"), ("cpu", "gloo")])
def test_a_group_ends_with_the_run(group, device, backend):
    with together(Processes(1, 2, 1), torch.device(device)):
        assert group == [backend]
    assert group == [backend, "destroyed"] and not left_alone()


@pytest.mark.parametrize("error", [UserError("no such thing"), RuntimeError("no such thing"), Stopped(signal.SIGTERM)])
@pytest.mark.parametrize(("device", "asked"), [("cuda:1", ["nccl"]), ("cpu", ["gloo", "destroyed"])])
def test_one_that_fails_does_not_wait_for_others_on_gpus(group, device, asked, error):
    with pytest.raises(type(error), match=str(error)), together(Processes(1, 2, 1), torch.device(device)):
        raise error
    assert group == asked and left_alone() is (device == "cuda:1")


FAILS_ON_GPUS = """
import atexit, sys, torch
from softshare.cli import main
from softshare.errors import Stopped, UserError
from softshare.training import run
from softshare.training.processes import Processes, together

torch.cuda.set_device = lambda device: None
torch.distributed.init_process_group = lambda *_, **__: None
torch.distributed.destroy_process_group = lambda: print("waited for the others")
atexit.register(print, "ended as Python does")

def fails(arguments):
    with together(Processes(0, 2, 0), torch.device("cuda", 0)):
        print("trained", end="")
        raise {error}

run.run_from_command_line = fails
sys.exit(main(["train", "--dataset", "digits", "--model", "swrn-16-1-1", "--out", "run"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        ("UserError('no such thing')", 2, "softshare: error: no such thing\n"),
        ("ZeroDivisionError('no such thing')", 1, "ZeroDivisionError: no such thing\n"),
    ],
)
def test_one_that_failed_on_a_gpu_ends_at_once_when_it_has_told_why(tmp_path, error, status, said):
    code = FAILS_ON_GPUS.replace("{error}", error)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (status, "trained") and done.stderr.endswith(said), done.stderr
