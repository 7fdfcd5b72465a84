"""Training photographs through FFCV: places and chances are those of the originals; and what is refused."""

import json
import subprocess
import sys

import numpy as np
import pytest
import yaml
from PIL import Image

from softshare.cli import main
from softshare.data.ffcv_file import ffcv_is_installed
from softshare.data.ffcv_photographs import decoding_of
from softshare.errors import UserError
from softshare.training.loading import resolve_photograph_loader

WITH_FFCV = pytest.mark.skipif(not ffcv_is_installed(), reason="FFCV is not installed (make ffcv)")
CLASSES = ("ant", "bee", "cat")


def smooth(number):
    """Photographs are smooth: then scaling by area and bilinearly differ little."""
    width, height = 80 + 7 * number, 120 - 5 * number
    x, y = np.meshgrid(np.linspace(0, 2, width), np.linspace(0, 2, height))
    waves = [np.sin(x * (number % 5 + 1) / 2 + shift) + np.cos(y + shift) for shift in (0, 1, 2)]
    return Image.fromarray(np.stack([(wave + 2) * 63 for wave in waves], axis=2).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Class folders of 12 and 6 photographs, and FFCV's file of them."""
    root = tmp_path_factory.mktemp("photographs")
    for number in range(18):
        file = root / "tree" / ("train" if number < 12 else "val") / CLASSES[number % 3] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        smooth(number).save(file, quality=95)
    written = ["data", "write", "folder", "--data", root / "tree", "--out", root / "folder.beton", "--quiet"]
    assert main(list(map(str, written))) == 0
    return root


def in_own_process(*command):
    """FFCV's decoder compiles for one number of threads a process."""
    return subprocess.run([sys.executable, *map(str, command)], timeout=500, capture_output=True, text=True)


_EPOCHS = """
import sys
from pathlib import Path
import numpy, torch
from softshare.data.beton import read_beton
from softshare.data.ffcv_file import FfcvFile
from softshare.data.ffcv_photographs import FfcvPhotographLoader
from softshare.data.loaders import Part
from softshare.data.photograph_augment import PhotographAugmentation
from softshare.data.photograph_loader import PhotographLoader
from softshare.data.photograph_sets import load_photographs

root, out = Path(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
found = load_photographs("folder", root / "tree")
chosen = numpy.array([0, 1, 2, 4, 5, 6, 7, 9, 10, 11])
train = found.train.select(chosen)
file = FfcvFile(read_beton(root / "folder.beton", "folder", found.fingerprint), 24)
augmentation = PhotographAugmentation(crop=24, interpolation="bilinear", area=(0.3, 1.0))
settings = {"batch_size": 4, "augmentation": augmentation, "seed": 3, "shuffle": True}
loaders = {
    "ours": PhotographLoader(train, **settings),
    "ffcv": FfcvPhotographLoader(file, chosen, train, **settings),
    "even": FfcvPhotographLoader(file, chosen, train, part=Part(0, 2), **settings),
    "odd": FfcvPhotographLoader(file, chosen, train, part=Part(1, 2), **settings),
}
kept = {}
for name, loader in loaders.items():
    for epoch in (0, 1):
        batches = [(images.clone(), labels) for images, labels in loader.epoch(epoch)]
        kept[f"{name}{epoch}"] = torch.cat([images for images, _ in batches]).numpy()
        kept[f"{name}{epoch} labels"] = torch.cat([labels for _, labels in batches]).numpy()
numpy.savez(out, **kept)
"""


@WITH_FFCV
@pytest.mark.long
def test_the_same_photographs_crops_and_colours_as_from_the_originals(folder, tmp_path):
    done = in_own_process("-c", _EPOCHS, folder, tmp_path / "found.npz")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "found.npz") as found:
        for epoch in "01":
            ours, ffcv = found[f"ours{epoch}"], found[f"ffcv{epoch}"]
            assert ours.shape == ffcv.shape == (10, 3, 24, 24)
            assert np.array_equal(found[f"ours{epoch} labels"], found[f"ffcv{epoch} labels"])
            apart = np.abs(ours - ffcv).mean((1, 2, 3))
            shuffled = np.abs(ours - ffcv[np.roll(np.arange(10), 1)]).mean((1, 2, 3))
            assert apart.max() < 0.1 < shuffled.mean(), (apart, shuffled)  # in standard deviations of a channel
            # Two processes' parts, put together batch by batch, are the whole.
            whole, parts = np.empty_like(ffcv), {part: found[f"{part}{epoch}"] for part in ("even", "odd")}
            taken = {"even": 0, "odd": 0}
            for start in range(0, 10, 4):
                for place in range(start, min(start + 4, 10)):
                    part = ("even", "odd")[(place - start) % 2]
                    whole[place] = parts[part][taken[part]]
                    taken[part] += 1
            assert np.array_equal(whole, ffcv)
        assert not np.array_equal(found["ffcv0"], found["ffcv1"])


@WITH_FFCV
@pytest.mark.long
def test_a_run_tells_what_decoded_and_does_not_go_on_with_other_pixels(folder, tmp_path):
    recipe = tmp_path / "small.yaml"
    settings = {"epochs": 1, "batch_size": 4, "crop": 32, "resize": 36}
    recipe.write_text(yaml.safe_dump({"extends": "imagenet", "task": "photographs", "settings": settings}))
    common = ["-m", "softshare", "train", "--model", "swrn-16-1", "--dataset", "folder", "--recipe", recipe, "--quiet",
              "--data", folder / "tree", "--device", "cpu", "--threads", "1", "--cache", tmp_path / "cache",
              "--beton", folder / "folder.beton"]  # fmt: skip
    runs = [tmp_path / "first", tmp_path / "second"]
    for out, loader in zip(runs, ("ffcv", "auto"), strict=True):
        done = in_own_process(*common, "--out", out, "--loader", loader)
        assert done.returncode == 0, done.stderr
        manifest = json.loads((out / "manifest.json").read_text())
        assert manifest["loader"] == "ffcv"
        assert "FFCV, side 500, JPEG share 1.0, JPEG quality 90" in json.dumps(manifest)
    assert (runs[0] / "model.safetensors").read_bytes() == (runs[1] / "model.safetensors").read_bytes()
    # The error is that of the original photographs: evaluating without FFCV gives it again.
    metrics = json.loads((runs[0] / "metrics.json").read_text())
    done = in_own_process("-m", "softshare", "evaluate", runs[0], "--data", folder / "tree", "--device", "cpu",
                          "--cache", tmp_path / "cache")  # fmt: skip
    assert f"test error {metrics['test']['error']:.2f} %" in done.stdout, done.stderr
    done = in_own_process(*common, "--out", runs[0], "--loader", "torchvision")
    assert done.returncode == 2 and "decoding" in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_what_tells_of_the_pixels_is_checked(folder, tmp_path):
    assert decoding_of(folder / "folder.beton") == "FFCV, side 500, JPEG share 1.0, JPEG quality 90"
    told = folder / "folder.beton.json"
    other = tmp_path / "x.beton"
    with pytest.raises(UserError, match="no such file"):
        decoding_of(other)
    other.touch()
    facts = json.loads(told.read_text())
    del facts["side"]
    (tmp_path / "x.beton.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"x\.beton\.json: side: is missing: the file holds no photographs"):
        decoding_of(other)


def test_which_loader(folder, tmp_path, monkeypatch):
    beton, absent = folder / "folder.beton", tmp_path / "absent.beton"
    monkeypatch.setattr("softshare.training.loading.ffcv_is_installed", lambda: True)
    assert resolve_photograph_loader("auto", beton) == "ffcv"
    assert resolve_photograph_loader("auto", absent) == resolve_photograph_loader("torchvision", beton) == "torchvision"
    monkeypatch.setattr("softshare.training.loading.ffcv_is_installed", lambda: False)
    assert resolve_photograph_loader("auto", beton) == "torchvision"
    with pytest.raises(UserError, match="photographs are not loaded so"):
        resolve_photograph_loader("tensor", beton)
