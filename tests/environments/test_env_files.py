"""envs/*.yaml: each requirement exact, and the same version wherever the project names it."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from rattler import MatchSpec

ROOT = Path(__file__).parent.parent.parent
FILES = sorted((ROOT / "envs").glob("*.yaml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def constraints():
    """name: version, as `make` installs it."""
    lines = (ROOT / "envs/constraints.txt").read_text().splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(each.name): each.specifier for each in pinned}


def parts(file):
    """An environment's requirements: from conda, and from PyPI."""
    dependencies = yaml.safe_load(file.read_text())["dependencies"]
    conda = [each for each in dependencies if isinstance(each, str)]
    [pip] = [each["pip"] for each in dependencies if isinstance(each, dict)]
    return conda, [Requirement(each) for each in pip]


def test_there_is_one_for_each_kind_of_work():
    assert [file.stem for file in FILES] == ["report", "train-gpu", "train"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
class TestEachEnvironment:
    def test_it_has_the_keys_that_conda_knows_and_one_channel(self, file):
        content = yaml.safe_load(file.read_text())
        assert list(content) == ["name", "channels", "dependencies", "variables"]
        assert content["name"] == f"softshare-{file.stem}"
        assert content["channels"] == ["conda-forge", "nodefaults"]
        assert content["variables"] == {"SOFTSHARE_ENVIRONMENT": file.stem}

    def test_conda_s_requirements_are_exact_and_said_once(self, file):
        specs = [MatchSpec(each, strict=True) for each in parts(file)[0]]
        names = [spec.name.normalized for spec in specs]
        assert names[:2] == ["python", "pip"] and len(set(names)) == len(names)
        for text in parts(file)[0]:
            assert re.fullmatch(r"[\w-]+=\d+(\.\d+)+", text), text

    def test_pip_s_requirements_are_exact_sorted_and_those_of_constraints_txt(self, file):
        requirements = parts(file)[1]
        names = [each.name for each in requirements]
        assert names == sorted(set(names))
        pinned = constraints()
        for each in requirements:
            assert re.fullmatch(r"==[\d.]+", str(each.specifier)), each
            assert pinned[canonicalize_name(each.name)] == each.specifier, each

    def test_they_satisfy_pyproject_toml(self, file):
        wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["ffcv"]
        bounds = {canonicalize_name(each.name): each.specifier for each in map(Requirement, wanted)}
        for each in parts(file)[1]:
            [pin] = each.specifier
            assert pin.version in bounds.get(canonicalize_name(each.name), each.specifier), each
        [python] = [text.removeprefix("python=") for text in parts(file)[0] if text.startswith("python=")]
        assert Version(python) >= Version(PROJECT["requires-python"].removeprefix(">="))


def test_reports_need_no_torch_and_training_all_that_the_package_does():
    names = {file.stem: {canonicalize_name(each.name) for each in parts(file)[1]} for file in FILES}
    assert not names["report"] & {"torch", "torchvision", "timm"}
    needed = {canonicalize_name(Requirement(each).name) for each in PROJECT["dependencies"]} - {"snakemake"}
    assert names["train"] == needed
    assert names["train-gpu"] >= needed | {"ffcv"}


def test_ffcv_finds_what_it_is_built_with():
    conda = {text.split("=")[0] for text in parts(ROOT / "envs/train-gpu.yaml")[0]}
    assert {"c-compiler", "cxx-compiler", "libjpeg-turbo", "libopencv", "pkg-config"} <= conda


def test_every_rule_names_an_environment_that_is_there():
    named = set()
    for file in (ROOT / "workflow/rules").glob("*.smk"):
        rules = re.findall(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", file.read_text(), re.M | re.S)
        for rule, body in rules:
            [environment] = re.findall(r"^    conda:\n        (.+)$", body, re.M)
            named.add(environment)
            assert environment == "COMPUTING" or (file.parent / environment.strip('"')).resolve() in FILES, rule
    assert {'"../../envs/report.yaml"', '"../../envs/train.yaml"', "COMPUTING"} == named
