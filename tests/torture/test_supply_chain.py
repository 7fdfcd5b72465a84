"""What is installed: pinned, hashed, in agreement everywhere it is named, and under licences that are listed."""

import importlib.metadata
import importlib.util
import platform
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
LOCK = ROOT / "envs/requirements-dev.lock"
OF_RUNS = ROOT / "envs/requirements.lock"  # what `make reproduce` installs
pytestmark = pytest.mark.attack("supply chain: lock, hashes, constraints, licences")


def module():
    spec = importlib.util.spec_from_file_location("licences", ROOT / "envs/licences.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def locked(lock=LOCK):
    return {canonicalize_name(name): version for name, version in module().locked(lock).items()}


def constraints():
    lines = (ROOT / "envs/constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    return {canonicalize_name(name): version.split(";")[0].strip() for name, version in pairs}


def asked_for(extra="dev"):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    found = list(project["dependencies"])
    wanted = [extra]
    for extra in wanted:
        for each in map(Requirement, extras[extra]):
            if each.name == project["name"]:
                wanted += each.extras
            else:
                found.append(str(each))
    return [Requirement(each) for each in found]


BOTH = pytest.mark.parametrize(("lock", "extra"), [(LOCK, "dev"), (OF_RUNS, "editable")], ids=["dev", "runs"])


@BOTH
def test_every_dependency_of_the_project_is_locked_to_a_version_that_it_takes(lock, extra):
    versions = locked(lock)
    for requirement in asked_for(extra):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


@BOTH
def test_what_a_locked_package_needs_is_locked_too(lock, extra):
    versions = locked(lock)
    for name in versions:
        for text in importlib.metadata.requires(name) or ():
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                assert need.specifier.contains(versions[canonicalize_name(need.name)], prereleases=True), (name, text)


def test_what_runs_is_locked_as_what_is_tested():
    few, many = (dict.fromkeys(blocks(lock)) for lock in (OF_RUNS, LOCK))
    assert few.keys() < many.keys(), "make lock"
    assert {"pytest", "ruff", "kubernetes"}.isdisjoint(locked(OF_RUNS))


def test_what_builds_the_package_is_locked_and_nothing_else_builds_it():
    versions = locked()
    system = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    # Besides its own, an editable package of hatchling's asks for this.
    for requirement in map(Requirement, [*system["requires"], "editables"]):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement
    makefile = (ROOT / "Makefile").read_text()
    installs = [line for line in makefile.splitlines() if "--editable" in line]
    assert len(installs) == 3 and all("--no-build-isolation" in line for line in installs)
    for requirement in map(Requirement, [*system["requires"], "editables"]):
        assert canonicalize_name(requirement.name) in locked(OF_RUNS), requirement


def test_lock_and_constraints_agree():
    versions, tested = locked(), constraints()
    assert {name: version for name, version in versions.items() if tested.get(name, version) != version} == {}
    missing = {requirement.name for requirement in asked_for() if canonicalize_name(requirement.name) not in tested}
    assert missing == set(), "the constraints leave a version open"


def blocks(lock):
    """A lock's entries: a package and its hashes."""
    found = re.split(r"\n(?=[A-Za-z0-9])", "\n" + re.sub(r"^#.*\n", "", lock.read_text(), flags=re.M).strip())
    return [block.strip() for block in found if block.strip()]


@BOTH
def test_each_locked_package_has_hashes_and_nothing_else_is_in_the_lock(lock, extra):
    for block in blocks(lock):
        lines = [line.strip().rstrip("\\").strip() for line in block.splitlines()]
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+( ; .+)?", lines[0]), lines[0]
        hashes = [line for line in lines[1:] if not line.startswith("#")]
        assert hashes and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in hashes), lines[0]


def test_make_installs_by_hashes_on_the_platform_that_the_lock_is_for():
    text = (ROOT / "Makefile").read_text()
    guard = re.search(r"^LOCKED := (.+)$", text, re.M)[1]
    here = (sys.version_info[:2], sys.platform, platform.machine()) == ((3, 11), "linux", "x86_64")
    assert (subprocess.run([sys.executable, "-c", guard], check=False).returncode == 0) == here
    for target, locks in (
        ("reproduce", ["requirements.lock"]),
        ("test", ["requirements.lock", "requirements-dev.lock"]),
    ):
        command = ["make", "--dry-run", "--always-make", target]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert re.findall(r"--require-hashes --requirement envs/(\S+)", told) == locks, target
    assert "--python-version 3.11" in text and "--python-platform x86_64-unknown-linux-gnu" in text


@BOTH
def test_no_address_of_a_registry_is_in_the_lock(lock, extra):
    assert "://" not in lock.read_text() and "--index" not in lock.read_text()


def test_what_is_installed_is_what_is_locked():
    versions = locked()
    installed = {name: importlib.metadata.version(name) for name in versions}
    # A build of one's own tells itself by a local part: torch 2.9.0+cpu.
    assert {name: found for name, found in installed.items() if found.split("+")[0] != versions[name]} == {}


def test_licences_are_listed_as_the_lock_has_them():
    text = (ROOT / "reports/licences.md").read_text()
    listed = dict(re.findall(r"^\| ([A-Za-z0-9._-]+) \| ([0-9][^ |]*) \| .+ \|$", text, re.M))
    assert listed == module().locked(LOCK)
    assert text == module().table(LOCK), "make lock"


def test_whose_licence_is_told_nowhere_is_known():
    text = (ROOT / "reports/licences.md").read_text()
    untold = re.findall(r"^\| ([A-Za-z0-9._-]+) \| [^|]+ \| not told \|$", text, re.M)
    assert untold == ["cuda-toolkit"]  # an empty package that names the parts of CUDA, listed each by itself
