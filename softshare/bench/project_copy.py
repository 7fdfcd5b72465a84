"""A copy of the project, in which a bench may add scales and leave results."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from softshare.errors import UserError
from softshare.files import project_root
from softshare.schemas import read_yaml

_PARTS = ("config", "workflow", "reports", "envs", "profiles")


@contextlib.contextmanager
def project_copy() -> Iterator[Path]:
    """Yields the folder of a copy with nothing run in it.

    Raises:
        UserError: The package was installed without its checkout, so that there is no workflow to copy.
    """
    root = project_root()
    if not (root / "Snakefile").is_file():
        raise UserError("is missing", file=root / "Snakefile", remedy="run this bench from a checkout")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in _PARTS:
            shutil.copytree(root / name, copy / name)
        shutil.copy(root / "Snakefile", copy)
        # With the package: it looks for its configuration beside itself.
        shutil.copytree(Path(__file__).parent.parent, copy / "softshare", ignore=shutil.ignore_patterns("_project"))
        yield copy


def add_scale(copy: Path, seeds: int) -> str:
    """Adds the paper's scale with so many seeds of every run to a copy, and gives its name."""
    scale = read_yaml(copy / "config" / "scales" / "paper.yaml", schema="scale")
    scale["seeds"] = list(range(seeds))
    scale["shortest_paths"]["seeds"] = list(range(seeds))  # a list of its own: YAML would write an alias
    name = f"paper-{seeds}-seeds"
    (copy / "config" / "scales" / f"{name}.yaml").write_text(yaml.safe_dump(scale), encoding="utf-8")
    return name


def snakemake(folder: Path, *arguments: str) -> str:
    """Runs Snakemake in a folder, and gives what it said.

    Raises:
        UserError: It failed.
    """
    command = [sys.executable, "-m", "snakemake", "--cores", "all", *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    said = result.stdout + result.stderr
    if result.returncode:
        wrong = next((line.strip() for line in said.splitlines() if "Error" in line), "no error was named")
        raise UserError(f"snakemake failed ({wrong})", value=" ".join(arguments))
    return said
