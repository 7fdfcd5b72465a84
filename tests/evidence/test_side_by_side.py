"""The same runs made twice, side by side."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import write_run
from scipy import stats
from test_paths import CNN, SCNN, SCNN_R, write_path_run

from softshare.errors import UserError
from softshare.evidence.comparison.page import describe_comparison, write_comparison
from softshare.evidence.comparison.side_by_side import compare
from softshare.plan import Plan, load_plan
from softshare.scales import Run, Setting

BF16 = {"precision": "bf16", "threads": 1}
FP32 = {"precision": "fp32", "threads": 1}


@pytest.fixture
def plan() -> Plan:
    return load_plan("compact", ["figure5"])


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """Two seeds of two networks on either side, the second's CNN better by 0.1; and on the first one run more."""
    first, second = tmp_path / "first", tmp_path / "second"
    for seed in (0, 1):
        for setting, f1 in ((CNN, 0.5), (SCNN, 0.6)):
            write_path_run(first, Run(setting, seed), f1, manifest=FP32)
        write_path_run(second, Run(CNN, seed), 0.6, manifest=BF16)
        write_path_run(second, Run(SCNN, seed), 0.6, manifest=BF16)
    write_path_run(first, Run(CNN, 2), 0.9, manifest=FP32)
    return first, second


def change(folder: Path, setting: Setting, seed: int, **changes: object) -> None:
    file = folder / "runs" / Run(setting, seed).folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_what_both_hold_is_compared_and_no_more(plan: Plan, sides: tuple[Path, Path]) -> None:
    found = compare(plan, *sides)
    assert [str(each.run) for each in found.runs] == [
        f"shortest-paths/{model}/paths/seed{seed}" for model in ("cnn-20", "scnn-20") for seed in (0, 1)
    ]
    assert [each.difference for each in found.runs] == pytest.approx([0.1, 0.1, 0, 0])
    told = describe_comparison(found)
    assert "| shortest-paths/cnn-20/paths, seed 0  | 0.5     | 0.6      | +0.100       | no spread known |" in told
    assert "- shortest-paths/cnn-20/paths: +0.100 over 2 seeds" in told
    assert told.endswith("Not compared:\n\n- shortest-paths/cnn-20/paths, complete in the first alone: seed 2\n")


def test_what_the_second_holds_besides_changes_nothing(plan: Plan, sides: tuple[Path, Path]) -> None:
    told = describe_comparison(compare(plan, *sides))
    write_path_run(sides[1], Run(SCNN_R, 0), 0.7, manifest=BF16)
    damaged = sides[1] / "runs" / Run(CNN, 8).folder
    damaged.mkdir(parents=True)
    (damaged / "metrics.json").write_text("{")
    assert describe_comparison(compare(plan, *sides)) == told


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
    assert found.left_out[0] == "shortest-paths/cnn-20/paths, complete in the first alone: seed 1, 2"
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


def test_each_run_is_told_by_itself_and_linked_where_it_lies_beside_the_page(
    plan: Plan, sides: tuple[Path, Path], tmp_path: Path
) -> None:
    change(sides[0], CNN, 1, device="NVIDIA H200", commit="b" * 40)
    found = compare(plan, *sides)
    page = write_comparison(found, tmp_path / "page")[0]
    making = page.read_text().partition("## How they were made")[2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in making.splitlines() if line.startswith("|")]
    assert rows[0] == ["run", "made", "device", "precision", "threads", "torch", "commit"] and len(rows) == 2 + 8
    assert rows[4][2:] == ["NVIDIA H200", "fp32", "1", "2.9.0", "b" * 12]
    assert rows[5][2:] == ["cpu", "bf16", "1", "2.9.0", "a" * 12]
    links = re.findall(r"\[(first|second)\]\(([^)]+)\)", making)
    assert [side for side, _ in links] == ["first", "second"] * 4
    for (side, link), each in zip(links, [each for each in found.runs for _ in range(2)], strict=True):
        assert (page.parent / link).samefile(tmp_path / side / "runs" / each.run.folder / "manifest.json")
    assert "](" not in describe_comparison(found) + describe_comparison(found, tmp_path / "a" / "page")
    assert "](runs/shortest-paths" in describe_comparison(found, sides[0])


def test_what_parts_a_pair_besides_precision_is_told(plan: Plan, sides: tuple[Path, Path]) -> None:
    head = "Besides precision, the two of a pair differ"
    told = describe_comparison(compare(plan, *sides))
    names = "device, threads, torch, commit, processes, batch norm, compiled"
    assert f"{head} in none of these: {names}.\n" in told
    change(sides[1], CNN, 1, threads=2, processes=4)
    changed = {"commit": "b" * 40, "versions": {"torch": "2.10.0"}, "device": "AMD EPYC", "compile": True}
    change(sides[1], SCNN, 0, **changed)
    told = describe_comparison(compare(plan, *sides))
    assert f"{head}, or may where it is not known, in:\n" in told
    lines = [line for line in told.partition(head)[2].splitlines() if line.startswith("- ")]
    assert lines[:3] == [
        "- shortest-paths/cnn-20/paths, seed 0; shortest-paths/scnn-20/paths, seed 1: nothing",
        "- shortest-paths/cnn-20/paths, seed 1: threads (1 in the first, 2 in the second), "
        "processes (1 in the first, 4 in the second)",
        "- shortest-paths/scnn-20/paths, seed 0: device (cpu in the first, AMD EPYC in the second), "
        "torch (2.9.0 in the first, 2.10.0 in the second), "
        f"commit ({'a' * 12} in the first, {'b' * 12} in the second), "
        "compiled (no in the first, yes in the second)",
    ]
    assert "| processes   | compiled   |" in told


def test_what_parts_all_pairs_alike_is_one_line(plan: Plan, sides: tuple[Path, Path]) -> None:
    for setting in (CNN, SCNN):
        for seed in (0, 1):
            change(sides[1], setting, seed, commit="b" * 40)
    told = describe_comparison(compare(plan, *sides))
    assert f"\n- every pair: commit ({'a' * 12} in the first, {'b' * 12} in the second)\n" in told


@pytest.mark.parametrize("changes", [{"threads": None}, {"dirty": True}])
def test_what_is_not_known_of_either_may_part_them(
    changes: dict[str, object], plan: Plan, sides: tuple[Path, Path]
) -> None:
    for side in sides:
        change(side, CNN, 0, **changes)
    found = compare(plan, *sides)
    assert [list(each.apart) for each in found.runs] == [["threads" if "threads" in changes else "commit"], [], [], []]


def test_a_pair_is_held_against_the_spread_of_the_second_s_seeds(tmp_path: Path) -> None:
    network = Setting("cifar10", "swrn-28-1-4", "cifar")
    plan, first, second = load_plan("compact", ["figure4"]), tmp_path / "first", tmp_path / "second"
    errors = [14.0, 14.5, 14.2]
    most = stats.t.ppf(0.975, 2) * np.std(errors, ddof=1) * 2**0.5
    for seed, error in enumerate(errors):
        write_run(second, Run(network, seed), error, "compact", manifest={"precision": "bf16"})
    write_run(first, Run(network, 0), 14.0 + most - 0.01, "compact")
    write_run(first, Run(network, 1), 14.5 - most - 0.01, "compact")
    found = compare(plan, first, second)
    spread = found.spreads[network]
    assert spread.most == pytest.approx(most) and spread.seeds == 3
    assert [spread.holds(each.difference) for each in found.runs] == [True, False]
    told = describe_comparison(found)
    assert f"| within {most:.3f}    |" in told and f"| beyond {most:.3f}    |" in told
    assert f"; seeds' spread: {most:.3f} (3 seeds)\n" in told
    assert "√2 times t times sd" in told and "pair's\ndifference for as noisy as that of two seeds" in told
    assert "1 of 2 pairs beyond the seeds' spread; of pairs that differ in the seed alone it is one in twenty." in told

    change(second, network, 2, commit="b" * 40)  # not the seed alone
    spread = compare(plan, first, second).spreads[network]
    assert spread.most is None and "mixes code" in spread.unknown
    (second / "runs" / Run(network, 2).folder / "metrics.json").unlink()
    found = compare(plan, first, second)
    assert found.spreads[network].unknown == "fewer than 3 complete seeds in the second"
    told = describe_comparison(found)
    assert told.count("| no spread known |") == 2 and "pairs beyond" not in told


def test_seeds_that_are_all_alike_tell_no_spread(tmp_path: Path) -> None:
    network = Setting("cifar10", "swrn-28-1-4", "cifar")
    for seed in range(3):
        write_run(tmp_path, Run(network, seed), 14.0, "compact")
    spread = compare(load_plan("compact", ["figure4"]), tmp_path, tmp_path).spreads[network]
    assert spread.most is None and spread.unknown == "the second's seeds are all alike"


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
