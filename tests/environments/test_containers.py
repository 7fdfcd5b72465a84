"""The images: what can be said of them without building one (no daemon, no registry here)."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from dockerfile_parse import DockerfileParser
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent.parent
IMAGES = ROOT / "containers"
BASE = "python:3.11-slim-bookworm"


def docker():
    return DockerfileParser(fileobj=(IMAGES / "Dockerfile").open("r+b"))


def apptainer():
    """Header and sections of the Apptainer definition."""
    text = "".join(line for line in (IMAGES / "softshare.def").open() if not line.startswith("#"))
    header, *sections = re.split(r"^%", text, flags=re.M)
    head = dict(re.findall(r"^(\w+): *(.+)$", header, re.M))
    return head, {section.split("\n", 1)[0]: section.split("\n", 1)[1] for section in sections}


def test_the_dockerfile_installs_the_project_and_starts_snakemake():
    steps = [(step["instruction"], step["value"]) for step in docker().structure if step["instruction"] != "COMMENT"]
    assert steps == [
        ("FROM", BASE),
        ("WORKDIR", "/softshare"),
        ("COPY", ". ."),
        ("RUN", "sh containers/install.sh"),
        ("ENV", "SOFTSHARE_ENVIRONMENT=container"),
        ("ENTRYPOINT", '["snakemake"]'),
        ("CMD", '["--cores", "all"]'),
    ]


def test_the_apptainer_definition_does_the_same():
    head, sections = apptainer()
    assert head == {"Bootstrap": "docker", "From": BASE}
    assert list(sections) == ["files", "post", "environment", "runscript"]
    assert sections["files"].split() == [".", "/softshare"]
    assert [line.strip() for line in sections["post"].strip().splitlines()] == [
        "cd /softshare",
        "sh containers/install.sh",
    ]
    assert "SOFTSHARE_ENVIRONMENT=container" in sections["environment"]
    assert sections["runscript"].split() == ["exec", "snakemake", '"$@"']


def test_their_python_is_the_one_of_the_environments():
    for file in (ROOT / "envs").glob("*.yaml"):
        [python, *_] = yaml.safe_load(file.read_text())["dependencies"]
        assert BASE.startswith(f"python:{python.removeprefix('python=')}-")


def test_what_is_installed_is_pinned_and_extras_are_the_project_s():
    script = (IMAGES / "install.sh").read_text()
    installs = re.findall(
        r"^python -m pip install --no-cache-dir --constraint envs/constraints.txt (.+)$", script, re.M
    )
    assert len(installs) == script.count("pip install") == 2
    [extras] = re.findall(r"'\.\[(.+)\]'", installs[1])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pinned = {
        Requirement(line).name.lower()
        for line in (ROOT / "envs/constraints.txt").read_text().split("\n")
        if "==" in line
    }
    for extra in extras.split(","):
        for requirement in map(Requirement, project[extra]):
            assert requirement.name.lower() in pinned, requirement


def test_ffcv_s_libraries_are_installed():
    script = (IMAGES / "install.sh").read_text()
    for package in ("g++", "libopencv-dev", "libturbojpeg0-dev", "pkg-config"):
        assert package in script.split()


def test_the_shell_scripts_are_clean():
    scripts = [IMAGES / "install.sh", ROOT / "tests/cluster/slurm.sh", ROOT / ".ci/run"]
    shellcheck = Path(sys.executable).with_name("shellcheck")
    checked = subprocess.run([shellcheck, *scripts], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
