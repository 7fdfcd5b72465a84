"""What all tests share: deterministic seeds, no network, fast hypothesis, a stand-in for conda."""

import io
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import settings
from PIL import Image
from tally import *  # noqa: F403  (hooks of `make torture`)

from softshare.data.ilsvrc import PhotographFacts

settings.register_profile("suite", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch):
    """A test that reaches beyond this machine fails."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in (
            "127.0.0.1",
            "::1",
            "localhost",
        ):
            raise AssertionError(f"a test reached for the network: {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


SYNSETS = ("n00000001", "n00000002", "n00000003")


def photograph(seed, size=(48, 40), image_format="JPEG", mode="RGB"):
    """An encoded photograph of blurred noise."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    coarse.convert(mode).save(file, image_format, quality=90)
    return file.getvalue()


@pytest.fixture
def encoded():
    return photograph


@pytest.fixture
def photograph_tree():
    """Writes `train/<synset>/*` and `val/<synset>/*`, three classes, and gives the folder."""

    def written(root: Path, train=4, validation=2):
        seed = 0
        for split, count in (("train", train), ("val", validation)):
            for label, synset in enumerate(SYNSETS):
                for number in range(count):
                    # As ILSVRC calls them: of the validation set numbered through all classes.
                    row = number * len(SYNSETS) + label + 1
                    name = f"{synset}_{number}" if split == "train" else f"ILSVRC2012_val_{row:08}"
                    file = root / split / synset / f"{name}.JPEG"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(photograph(seed, (40 + 3 * seed % 17, 44 + 5 * seed % 13)))
                    seed += 1
        return root

    return written


@pytest.fixture
def three_synsets(monkeypatch):
    """ImageNet of three synsets, 12 training and 6 validation photographs."""
    facts = PhotographFacts(SYNSETS, train=12, validation=6)
    monkeypatch.setattr("softshare.data.photograph_sets.ilsvrc_facts", lambda: facts)
    return facts


@pytest.fixture
def path_without(tmp_path_factory):
    """Makes a PATH on which all commands of this machine are found but some."""

    def make(*names):
        folder = tmp_path_factory.mktemp("bin")
        for each in os.environ["PATH"].split(os.pathsep):
            for file in Path(each).glob("*"):
                place = folder / file.name
                if file.name not in names and not place.is_symlink():
                    place.symlink_to(file)
        return str(folder)

    return make


STANDIN = Path(__file__).parent / "environments" / "standin"
ENVIRONMENTS = Path(__file__).parent.parent / "envs"


@pytest.fixture(scope="session")
def conda(tmp_path_factory):
    """The variables of a shell that finds the stand-in for conda; its channel holds what envs/ take of conda-forge."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the environments pin Python 3.11, and the stand-in has only the Python that runs here")
    home = tmp_path_factory.mktemp("conda")
    (home / "bin").mkdir()
    shutil.copy(STANDIN / "activate", home / "bin/activate")
    command = home / "bin/conda"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STANDIN}/conda.py" "{home}" "$@"\n')
    command.chmod(0o755)
    pinned = [
        requirement
        for file in ENVIRONMENTS.glob("*.yaml")
        for requirement in yaml.safe_load(file.read_text())["dependencies"]
        if isinstance(requirement, str) and not requirement.startswith("python=")
    ]
    make = [sys.executable, STANDIN / "channel.py", home / "channels/conda-forge", *sorted(set(pinned))]
    subprocess.run(make, check=True, timeout=60)
    return {"PATH": f"{home}/bin{os.pathsep}{os.environ['PATH']}"}
