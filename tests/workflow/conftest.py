"""What the tests of the DAG share: Snakemake called as a person calls it, and a copy of the project to run it in."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def snakemake():
    """Calls Snakemake in the project, or in another folder, and gives what came of it."""

    def call(*arguments, folder=ROOT):
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=540)

    return call


@pytest.fixture(scope="session")
def planned():
    """Counts jobs by rule in what Snakemake said."""
    return lambda result: dict(re.findall(r"^(\w+) +(\d+)$", result.stdout + result.stderr, re.M))


@pytest.fixture
def project(tmp_path, request):
    """A copy of the project with the scale `tiny`, which the test's module tells as `TINY`."""
    for name in ("Snakefile", "config", "workflow", "reports", "envs", "profiles", "softshare"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    (tmp_path / "config/scales/tiny.yaml").write_text(request.module.TINY)
    return tmp_path


@pytest.fixture
def built(project, snakemake):
    """Builds targets of the copy from nothing, and holds that a second call finds nothing to do."""

    def build(*asked):
        first = snakemake(*asked, folder=project)
        assert first.returncode == 0, first.stdout + first.stderr
        again = snakemake(*asked, folder=project)
        assert "Nothing to be done" in again.stdout + again.stderr
        return project / "results/tiny"

    return build
