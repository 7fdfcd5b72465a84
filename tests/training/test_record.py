"""What a manifest tells of the command that made a run, and of the code."""

import subprocess
import sys
from pathlib import Path

import pytest

from softshare.training import record
from softshare.training.code_digest import code_digest
from softshare.training.record import provenance

# Of a small project: what a run follows from, and what it does not.
COMPUTES = [
    "softshare/training/engine.py",
    "softshare/sharing/native.c",
    "config/recipes/cifar.yaml",
    "config/scales/paper.yaml",
]
BESIDE = [
    "README.md",
    "config/config.yaml",
    "config/experiments/mine.yaml",
    "config/README.md",
    "slurm-1.log",
    "tests/test_run.py",
    "softshare/a.md",
]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "--out", "/home/somebody/run", "--seed", "3"], ["train", "--out", "run", "--seed", "3"]),
        (["train", "--data=/mnt/sets/cifar.tar.gz"], ["train", "--data=cifar.tar.gz"]),
        (["train", "--out", "results/compact/run"], ["train", "--out", "results/compact/run"]),
        (["report", "a=/b"], ["report", "a=/b"]),
    ],
)
def test_of_an_absolute_path_the_name_alone_is_told(words, told, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/softshare", *words])
    assert provenance()["argv"] == ["softshare", *told]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A project under git, all of it committed, that `provenance` takes for its own."""
    for name in (*COMPUTES, *BESIDE):
        if name != "slurm-1.log":  # what a cluster leaves beside
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("as committed\n")
    by = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
    for words in (("init", "-q"), ("add", "."), (*by, "commit", "-q", "-m", "All")):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    monkeypatch.setattr(record, "project_root", lambda: tmp_path)
    return tmp_path


def test_a_clean_tree_is_clean(repository):
    assert provenance()["dirty"] is False and len(provenance()["commit"]) == 40


@pytest.mark.parametrize("name", COMPUTES)
@pytest.mark.parametrize("how", ["changed", "deleted", "added"])
def test_what_a_run_follows_from_makes_it_dirty(repository, name, how):
    file = repository / name
    if how == "deleted":
        file.unlink()
    else:
        (file if how == "changed" else file.with_name(f"new{file.suffix}")).write_text("otherwise\n")
    assert provenance()["dirty"] is True


@pytest.mark.parametrize("name", BESIDE)
def test_what_lies_beside_does_not(repository, name):
    (repository / name).write_text("otherwise\n")
    assert provenance()["dirty"] is False


def test_without_git_nothing_is_said_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "project_root", lambda: tmp_path)
    told = provenance()
    assert told["commit"] is None and told["dirty"] is None and len(told["code"]) == 64


@pytest.fixture
def package(tmp_path) -> Path:
    for name in ("__init__.py", "training/engine.py", "sharing/native.c", "evidence/report.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("as committed\n")
    return tmp_path


def digest_of(package):
    code_digest.cache_clear()
    return code_digest(package)


def test_the_digest_is_of_what_trains(package):
    before = digest_of(package)
    beside = ("evidence/report.py", "bench/page.py", "forecast/bill.py", "site.py", "README.md", "__pycache__/a.pyc")
    for name in (*beside, "training/.ipynb_checkpoints/engine.py"):
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text("otherwise\n")
    (package / "training/.#engine.py").symlink_to("someone@a-host.1:2")  # an editor's, which leads nowhere
    assert digest_of(package) == before


@pytest.mark.parametrize("name", ["training/engine.py", "sharing/native.c", "models/new.py"])
def test_other_source_files_have_another_digest(package, name):
    before = digest_of(package)
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_text("otherwise\n")
    assert digest_of(package) != before


def test_a_file_of_another_name_has_another_digest(package):
    before = digest_of(package)
    (package / "training/engine.py").rename(package / "training/motor.py")
    assert digest_of(package) != before
