"""A Slurm of one node for these tests, and the project as a site would set it up on it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from one_node import NEEDED, ROOT, SCRIPT, SITE, Slurm


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """Debian's Slurm on this machine, for the time of the tests."""
    missing = [name for name in NEEDED if not shutil.which(name) and not Path("/usr/sbin", name).exists()]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        pytest.skip("munge and Slurm are started as root")
    state = tmp_path_factory.mktemp("slurm")
    started = subprocess.run([SCRIPT, "start", state], capture_output=True, text=True, timeout=60)
    if started.returncode == 3:
        pytest.skip(started.stderr.strip())
    try:
        assert started.returncode == 0, started.stderr
        yield Slurm(state)
    finally:
        subprocess.run([SCRIPT, "stop", state], capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def make_project(tmp_path_factory):
    """Makes copies of the project that know this cluster."""

    def make(name):
        folder = tmp_path_factory.mktemp(name)
        for part in ("Snakefile", "config", "workflow", "reports", "envs", "profiles", "softshare"):
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part)
        profile = folder / "profiles/slurm/config.yaml"
        text = profile.read_text()
        for shipped, ours in SITE.items():
            assert shipped in text, f"profiles/slurm/config.yaml no longer says {shipped!r}"
            text = text.replace(shipped, ours)
        profile.write_text(text)
        return folder

    return make
