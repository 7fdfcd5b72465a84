"""FFCV, chosen by nobody's name, loads where its file holds the run's images; else a line says why not."""

import dataclasses
import json
from pathlib import Path

import pytest

from softshare.cli import main
from softshare.data.photographs import PhotographSet
from softshare.errors import UserError
from softshare.files import write_json
from softshare.runfiles import CHECKPOINT
from softshare.training import fitting_loader, run
from softshare.training.checkpoint import save_checkpoint
from softshare.training.fitting_loader import require_same_pixels, with_fitting_loader


@pytest.fixture
def beton(images, write, tmp_path, monkeypatch):
    """FFCV's file of the images, as if FFCV were there."""
    monkeypatch.setattr(fitting_loader, "require_ffcv", lambda: None)
    return write(tmp_path / "digits.beton", images)


def told(beton: Path, **changes: object) -> None:
    facts = beton.with_name(f"{beton.name}.json")
    facts.write_text(json.dumps(json.loads(facts.read_text()) | changes))


@pytest.fixture
def chosen(job, beton):
    return dataclasses.replace(job, loader="ffcv", beton=beton)


@pytest.fixture
def photographs(images):
    return PhotographSet(images.name, None, None, images.classes, "made by hand", images.fingerprint)


def test_it_loads_where_its_file_holds_the_images(chosen, images, tmp_path):
    assert with_fitting_loader(chosen, images, tmp_path / "run") == (chosen, "")


def test_another_loader_is_left_as_it_is(job, images, tmp_path):
    assert with_fitting_loader(job, images, tmp_path / "run") == (job, "")


def test_a_file_of_other_images_gives_way(chosen, images, tmp_path):
    other = dataclasses.replace(images, fingerprint="1" * 64)
    job, why = with_fitting_loader(chosen, other, tmp_path / "run")
    assert job == dataclasses.replace(chosen, loader="tensor")
    assert why == f"loader: tensor, not ffcv: {chosen.beton}: holds other images than this run's"


def test_what_cannot_be_imported_gives_way(chosen, images, tmp_path, monkeypatch):
    def refuse():
        raise UserError("FFCV cannot be imported (libturbojpeg.so.0)", key="loader", value="ffcv")

    monkeypatch.setattr(fitting_loader, "require_ffcv", refuse)
    job, why = with_fitting_loader(chosen, images, tmp_path / "run")
    assert job.loader == "tensor" and "libturbojpeg" in why and "\n" not in why


def test_a_file_of_which_too_little_is_told_gives_way(chosen, images, photographs, tmp_path):
    job, why = with_fitting_loader(chosen, photographs, tmp_path / "run")  # no side, no share of JPEG
    assert job.loader == "torchvision" and "holds no photographs" in why
    told(chosen.beton, fingerprint=None)
    job, why = with_fitting_loader(chosen, images, tmp_path / "run")
    assert job.loader == "tensor" and "fingerprint" in why


@pytest.mark.parametrize("left", ["checkpoint", "complete"])
def test_a_run_goes_on_with_the_pixels_that_it_began_with(chosen, photographs, tmp_path, left):
    told(chosen.beton, side=500, jpeg_share=1.0, jpeg_quality=90)
    out = tmp_path / "run"
    job, why = with_fitting_loader(chosen, photographs, out)
    assert (job.loader, why) == ("ffcv", "") and job.decoding.startswith("FFCV, side 500")
    out.mkdir()

    def leave(identity):
        if left == "complete":
            write_json(out / "manifest.json", {"identity": identity})
        else:
            save_checkpoint(out / CHECKPOINT, {"identity": identity})

    leave({"decoding": job.decoding})
    assert with_fitting_loader(chosen, photographs, out) == (job, "")
    leave({"seed": 0})  # of the original files
    job, why = with_fitting_loader(chosen, photographs, out)
    assert (job.loader, job.decoding) == ("torchvision", "") and "on the photographs themselves" in why


def test_a_run_of_ffcv_s_pixels_goes_on_with_no_others(chosen, photographs, tmp_path, monkeypatch):
    told(chosen.beton, side=500, jpeg_share=1.0, jpeg_quality=90)
    out = tmp_path / "run"
    out.mkdir()
    save_checkpoint(out / CHECKPOINT, {"identity": {"decoding": "FFCV, side 500, JPEG share 1.0, JPEG quality 90"}})
    other = dataclasses.replace(photographs, fingerprint="1" * 64)
    with pytest.raises(UserError, match=r"digits\.beton: holds other images"):
        with_fitting_loader(chosen, other, out)

    def refuse():
        raise UserError("FFCV cannot be imported", key="loader", value="ffcv", remedy="make ffcv")

    monkeypatch.setattr(fitting_loader, "require_ffcv", refuse)
    with pytest.raises(UserError, match="make ffcv"):
        with_fitting_loader(chosen, photographs, out)


def test_all_processes_of_a_run_load_the_same_pixels(job):
    class Two:
        def __init__(self, other):
            self.other = other

        def gather(self, value):
            return [value, self.other]

    own, other = "torchvision (the files themselves)", "ffcv (FFCV, side 500)"
    of_photographs = dataclasses.replace(job, dataset="imagenet", loader="torchvision")
    require_same_pixels(dataclasses.replace(of_photographs, processes=Two(own)))
    require_same_pixels(dataclasses.replace(job, processes=Two(other)))  # in memory all loaders give the same bits
    with pytest.raises(UserError, match=r"loader: \['ffcv \(FFCV, side 500\)', 'torchvision .*other pixels"):
        require_same_pixels(dataclasses.replace(of_photographs, processes=Two(other)))


def test_a_run_says_so_and_trains(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "resolve_loader", lambda *asked: "ffcv")
    monkeypatch.setattr(fitting_loader, "require_ffcv", lambda: None)
    monkeypatch.setattr(run, "default_beton", lambda dataset: tmp_path / "none.beton")
    asked = ["train", "--model", "swrn-16-1", "--dataset", "digits", "--recipe", "cifar", "--epochs", "1", "--quiet"]
    assert main([*asked, "--cache", str(tmp_path), "--out", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr().out
    assert printed.count("loader: tensor, not ffcv: ") == 1 and "none.beton: no such file" in printed
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["loader"] == "tensor"
    # What is named is taken at its word.
    assert main([*asked, "--loader", "ffcv", "--cache", str(tmp_path), "--out", str(tmp_path / "named")]) == 2
    assert "none.beton: no such file" in capsys.readouterr().err
