"""Cores that a process may keep busy: what control groups say, told from files as the kernel writes them."""

import math
import os

import pytest
import torch

from softshare import cores
from softshare.cores import quota, usable_cores
from softshare.training import run


def group(root, path, **files):
    folder = root / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


@pytest.fixture
def mine(tmp_path):
    def tell(*lines):
        (tmp_path / "cgroup").write_text("".join(f"{line}\n" for line in lines))
        return tmp_path / "cgroup"

    return tell


def test_the_tightest_of_a_group_and_those_that_hold_it(tmp_path, mine):
    root = tmp_path / "fs"
    group(root, "a", cpu__max="250000 100000\n")
    group(root, "a/b", cpu__max="400000 100000\n")
    group(root, "a/c", cpu__max="max 100000\n")
    assert quota(root, mine("0::/a/b")) == quota(root, mine("0::/a/c")) == 2.5
    assert quota(root, mine("0::/elsewhere")) == math.inf


def test_in_a_container_the_outermost_is_its_own(tmp_path, mine):
    group(tmp_path / "fs", ".", cpu__max="150000 100000\n")
    assert quota(tmp_path / "fs", mine("0::/kubepods/pod1")) == 1.5


def test_version_1(tmp_path, mine):
    root = tmp_path / "fs"
    group(root / "cpu", "docker/x", **{"cpu.cfs_quota_us": "300000\n", "cpu.cfs_period_us": "100000\n"})
    group(root / "cpu", ".", **{"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"})
    assert quota(root, mine("5:memory:/", "4:cpu,cpuacct:/docker/x", "0::/")) == 3
    assert quota(root, mine("4:cpuset:/docker/x")) == math.inf


@pytest.mark.parametrize("content", ["", "x y\n", "100000 0\n"])
def test_what_makes_no_sense_is_no_bound(tmp_path, mine, content):
    group(tmp_path / "fs", ".", cpu__max=content)
    assert quota(tmp_path / "fs", mine("0::/", "nonsense")) == math.inf
    assert quota(tmp_path / "fs", tmp_path / "absent") == math.inf


@pytest.mark.parametrize(("given", "taken"), [(0.3, 1), (1.5, 2), (math.inf, 6)])
def test_at_least_one_and_no_more_than_there_are(monkeypatch, given, taken):
    monkeypatch.setattr(cores, "quota", lambda *where: given)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    assert usable_cores() == taken


@pytest.mark.parametrize(("usable", "by_environment", "taken"), [(1, None, 1), (64, None, 2), (1, "2", 2)])
def test_a_run_takes_no_more_threads_than_it_has_cores(monkeypatch, usable, by_environment, taken):
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if by_environment:
        monkeypatch.setenv("OMP_NUM_THREADS", by_environment)
    monkeypatch.setattr(run, "usable_cores", lambda: usable)
    try:
        torch.set_num_threads(2)
        run.prepare("cpu", None)
        assert torch.get_num_threads() == taken
        run.prepare("cpu", 2)  # what is asked for is taken
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
