"""What all tests share: deterministic seeds, no network, fast hypothesis, a stand-in for conda."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import settings

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
