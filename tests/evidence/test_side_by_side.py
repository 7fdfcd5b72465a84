"""The same runs made twice, side by side."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_paths import CNN, SCNN, write_path_run

from softshare.errors import UserError
from softshare.evidence.side_by_side import compare, describe_comparison, write_comparison
from softshare.plan import Plan, load_plan
from softshare.scales import Run


@pytest.fixture
def plan() -> Plan:
    return load_plan("compact", ["figure5"])


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """Two seeds of two networks on either side, the second's CNN better by 0.1; and on the first one run more."""
    first, second = tmp_path / "first", tmp_path / "second"
    for seed in (0, 1):
        for setting, f1 in ((CNN, 0.5), (SCNN, 0.6)):
            write_path_run(first, Run(setting, seed), f1)
        write_path_run(second, Run(CNN, seed), 0.6, manifest={"precision": "bf16"})
        write_path_run(second, Run(SCNN, seed), 0.6, manifest={"precision": "bf16"})
    write_path_run(first, Run(CNN, 2), 0.9)
    return first, second


def test_what_both_hold_is_compared_and_no_more(plan: Plan, sides: tuple[Path, Path]) -> None:
    found = compare(plan, *sides)
    assert [str(each.run) for each in found.runs] == [
        f"shortest-paths/{model}/paths/seed{seed}" for model in ("cnn-20", "scnn-20") for seed in (0, 1)
    ]
    differences = [each.values[1] - each.values[0] for each in found.runs]
    assert differences == pytest.approx([0.1, 0.1, 0, 0])
    assert "fp32" in found.made[0] and "bf16" in found.made[1]
    told = describe_comparison(found)
    assert "| shortest-paths/cnn-20/paths, seed 0  | 0.5     | 0.6      | +0.100       |" in told
    assert "- shortest-paths/cnn-20/paths: +0.100 over 2 seeds" in told
    assert told.endswith("Not compared: 1 complete in the first alone.\n")


def test_no_difference_has_no_sign(plan: Plan, tmp_path: Path) -> None:
    for side, f1 in (("first", 0.6), ("second", 0.5999)):
        for seed in (0, 1):
            write_path_run(tmp_path / side, Run(CNN, seed), f1)
    told = describe_comparison(compare(plan, tmp_path / "first", tmp_path / "second"))
    assert "- shortest-paths/cnn-20/paths: 0.000 over 2 seeds" in told
    assert "| 0.000        |" in told and "\N{MINUS SIGN}0" not in told


def test_a_damaged_run_is_left_out_and_named(plan: Plan, sides: tuple[Path, Path]) -> None:
    (sides[1] / "runs/shortest-paths/cnn-20/paths/seed1/metrics.json").write_text("{")
    found = compare(plan, *sides)
    assert len(found.runs) == 3
    assert found.left_out[0] == "2 complete in the first alone"
    assert found.left_out[1].startswith("shortest-paths/cnn-20/paths/seed1 of the second cannot be used: ")


def test_the_files_hold_the_curves_and_come_out_the_same(plan: Plan, sides: tuple[Path, Path], tmp_path: Path) -> None:
    found = compare(plan, *sides)
    files = write_comparison(found, tmp_path / "once")
    assert [file.name for file in files] == [f"comparison.{ending}" for ending in ("md", "csv", "svg", "png", "pdf")]
    rows = list(csv.DictReader((tmp_path / "once/comparison.csv").open()))
    assert len(rows) == 4 * 50
    assert float(rows[0]["first"]) == pytest.approx(0.5) and float(rows[0]["second"]) == pytest.approx(0.6)
    for file in write_comparison(found, tmp_path / "again"):
        assert file.read_bytes() == (tmp_path / "once" / file.name).read_bytes()


def test_other_data_or_another_training_are_refused(plan: Plan, sides: tuple[Path, Path]) -> None:
    file = sides[1] / "runs/shortest-paths/cnn-20/paths/seed1/manifest.json"
    manifest = json.loads(file.read_text())
    manifest["dataset"]["fingerprint"] = "e" * 64
    file.write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="seed1: is of another training, or of other data"):
        compare(plan, *sides)


def test_nothing_in_common_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "softshare", "compare", tmp_path / "a", tmp_path / "b", "--scale", "compact"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 2 and run.stderr.count("\n") == 1
    assert f"{tmp_path}/a: holds no complete run of the scale" in run.stderr
