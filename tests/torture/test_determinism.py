"""The same command twice gives the same bits; what stays the same with another number of threads."""

import hashlib
import json

import pytest
import torch
from forked import Command
from test_kills import PATHS, TRAIN, few_data, few_images, few_paths, left, require_same

from softshare.data.augment import Augmentation
from softshare.data.images import load_images
from softshare.data.loaders import TensorLoader
from softshare.models import create_model
from softshare.training.resumable import seed_weights

RECIPES = {
    "images": [*TRAIN, "--epochs", 2],
    "images with dropout and cutout": [*TRAIN, "--epochs", 2, "--recipe", "cifar-cutout-dropout"],
    "a plain network": [*TRAIN, "--epochs", 2, "--model", "wrn-16-1"],
    "paths": PATHS,
}


@pytest.mark.slow
@pytest.mark.attack("the same command twice: the same bits")
@pytest.mark.parametrize("what", RECIPES)
@pytest.mark.parametrize("threads", [1, 2])
def test_twice_the_same(what, threads, full, few_cifar, tmp_path):
    if not full and (threads, what) != (1, "images with dropout and cutout"):
        pytest.skip("in `make torture`")
    command = few_paths(tmp_path) if what == "paths" else [*RECIPES[what], *few_data(tmp_path, few_cifar)]
    for name in ("a", "b"):
        made = Command([*command, "--threads", threads, "--out", tmp_path / name], tmp_path / "log", prepare=few_images)
        assert made.wait() == 0, made.said
    require_same(tmp_path / "a", tmp_path / "b")


@pytest.mark.torture_alone
@pytest.mark.attack("the same command twice: the same bits")
def test_another_seed_gives_another_run(few_cifar, tmp_path):
    data = few_data(tmp_path, few_cifar)
    for seed in (0, 1):
        command = [*TRAIN, "--epochs", 1, *data, "--seed", seed, "--out", tmp_path / str(seed)]
        made = Command(command, tmp_path / "log", prepare=few_images)
        assert made.wait() == 0, made.said
    assert left(tmp_path / "0")[1]["model.safetensors"] != left(tmp_path / "1")[1]["model.safetensors"]


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.attack("1 and 2 threads: the same images, order, augmentation and first weights")
@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_what_is_trained_on_and_from_does_not_hang_on_threads(epoch, threads):
    images = load_images("digits")
    digests = []
    for count in (1, 2):
        threads(count)
        loader = TensorLoader(
            images.train_images,
            images.train_labels,
            batch_size=128,
            mean=images.mean,
            std=images.std,
            augmentation=Augmentation(images.flip, images.pad, "zero", 4),
            device=torch.device("cpu"),
            seed=3,
        )
        digest = hashlib.sha256()
        for pixels, labels in loader.epoch(epoch):
            digest.update(pixels.contiguous().numpy().tobytes() + labels.numpy().tobytes())
        seed_weights(3)
        for parameter in create_model("swrn-16-1-1").parameters():
            digest.update(parameter.detach().numpy().tobytes())
        digests.append(digest.hexdigest())
    assert digests[0] == digests[1]


@pytest.mark.slow
@pytest.mark.attack("1 and 2 threads: the same images, order, augmentation and first weights")
def test_another_number_of_threads_is_another_run(few_cifar, tmp_path):
    """Sums are taken in another order, so a run is not gone on with, and not taken for the same."""
    command = [*TRAIN, "--epochs", 1, *few_data(tmp_path, few_cifar), "--out", tmp_path / "run"]
    for threads, status in ((1, 0), (2, 2)):
        made = Command([*command, "--threads", threads], tmp_path / "log", prepare=few_images)
        assert made.wait() == status, made.said
    assert "threads: was left by a run with 1, this one has 2" in made.said
    assert json.loads((tmp_path / "run/manifest.json").read_text())["threads"] == 1


@pytest.mark.slow
@pytest.mark.attack("a loss that is no number")
@pytest.mark.parametrize("task", ["images", "test images", "paths", "test paths", "test paths of two phases"])
def test_a_loss_that_is_no_number_names_epoch_and_step_and_leaves_no_number(task, few_cifar, tmp_path):
    mine = tmp_path / "mine.yaml"
    if task == "paths":
        command = few_paths(tmp_path)
        mine.write_text(
            (tmp_path / "few.yaml").read_text().replace("settings: {", "settings: {learning_rate: 1.0e+38, ")
        )
    elif task.startswith("test paths"):
        # All examples are one batch; two phases would go on with weights of NaN.
        command, windows = PATHS, "[3, 5]" if task.endswith("phases") else "[3]"
        mine.write_text(
            "extends: paths\ntask: shortest-paths\n"
            f"settings: {{learning_rate: 1.0e+38, side: 16, windows: {windows}, train: 8, test: 8, epochs: 1, "
            "batch_size: 8}\n"
        )
    else:
        command = [*TRAIN, "--epochs", 3, *few_data(tmp_path, few_cifar)]
        # The test images are met first where all images are one batch.
        batch_size = 64 if task == "test images" else 9
        mine.write_text(f"extends: cifar\nsettings: {{learning_rate: 1.0e+38, batch_size: {batch_size}}}\n")
    made = Command([*command, "--recipe", mine, "--out", tmp_path / "run"], tmp_path / "log", prepare=few_images)
    assert made.wait() == 2
    place = "epoch 1" if task.startswith("test") else "is no number at epoch 1, step 2"
    assert made.said.count("\n") == 1 and "is no number" in made.said and place in made.said, made.said
    assert not any((tmp_path / "run" / name).exists() for name in ("metrics.json", "checkpoint.pt"))
    assert (tmp_path / "run/diverged.json").is_file()
