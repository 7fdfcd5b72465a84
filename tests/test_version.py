"""The version is written down once, in the package; what else names it says the same."""

import tomllib
from pathlib import Path

import pytest
import yaml

import softshare
from softshare.cli import main

ROOT = Path(__file__).parent.parent


def test_whoever_cites_it_cites_this_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == softshare.__version__


def test_the_package_is_built_with_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"] and project["project"]["dynamic"] == ["version"]
    assert (ROOT / project["tool"]["hatch"]["version"]["path"]).samefile(softshare.__file__)


def test_the_command_line_tells_it(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"softshare {softshare.__version__}\n"
