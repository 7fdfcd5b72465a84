"""The house as ARCHITECTURE.md draws it: imports flow one way, and every room is named there."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_imports_flow_one_way():
    executable = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([executable, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "4 kept, 0 broken" in result.stdout


def drawn_modules() -> dict[str, set[str]]:
    """The modules that the drawing names, by room; those that lie in none under `.`."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    table = text.partition("| room | module |")[2].partition("\n\n")[0]
    drawn: dict[str, set[str]] = {}
    room = ""
    for first, second in re.findall(r"^\|([^|]*)\|([^|]*)\|[^|]*\|$", table, re.M):
        room = first.strip() or room  # an empty cell: still the room above
        modules = re.findall(r"`(\w+\.py)`", first + second)
        inner = re.match(r" `(\w+)/`: ", second)
        place = Path(*re.findall(r"^`(\w+)/`$", room), *(inner.groups() if inner else ()))
        for module in modules:
            assert module not in drawn.setdefault(place.as_posix(), set()), f"{place / module} stands there twice"
            drawn[place.as_posix()].add(module)
    return drawn


def test_the_floors_are_those_of_the_import_contract():
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    wanted = [set(re.findall(r"softshare\.([a-z]+)", layer)) for layer in layers]
    drawing = (ROOT / "ARCHITECTURE.md").read_text().partition("## Floors and rooms")[2].split("```")[1]
    drawn = [set(re.findall("[a-z]+", line[10:].partition("(")[0])) for line in drawing.splitlines()]
    assert [floor for floor in drawn if floor] == [floor for floor in wanted if floor]


def test_each_room_s_modules_are_those_in_the_drawing():
    there: dict[str, set[str]] = {}
    for path in (ROOT / "softshare").rglob("*.py"):
        if not path.name.startswith("__"):
            there.setdefault(path.parent.relative_to(ROOT / "softshare").as_posix(), set()).add(path.name)
    assert drawn_modules() == there


@pytest.mark.parametrize("module", ["plan", "cli"])
def test_what_reads_files_only_loads_no_torch(module):
    code = f"import sys, softshare.{module}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_files_stay_readable():
    long = {
        path.name: lines
        for path in (ROOT / "softshare").rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 300
    }
    assert long == {}


def test_what_contributors_are_led_to_is_there():
    named = re.findall(r"`((?:config|reports|softshare|workflow)/[^`]+)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(named) > 10
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


def test_nothing_is_unpickled_unseen():
    for path in (ROOT / "softshare").rglob("*.py"):
        text = path.read_text()
        for call in re.findall(r"torch\.load\([^\n]*", text):
            assert "weights_only=True" in call, path
        assert "allow_pickle=True" not in text, path
        assert not re.search(r"\bpickle\.loads?\(", text), path
