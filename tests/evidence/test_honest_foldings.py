"""What `folding.json` tells is checked before it is told on: what is bad is no cell, no drawing, no verdict."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from softshare.bench.run_folders import write_run_folders
from softshare.evidence.foldings.reading import read_folding
from softshare.evidence.foldings.runs import FOLDING, folded_runs
from softshare.evidence.report import write_report
from softshare.evidence.runs.gather import gather
from softshare.plan import Plan, load_plan

Change = Callable[[dict[str, Any]], object]


def costs(**changes: Any) -> Change:
    return lambda folding: [row.update(changes) for row in folding["costs"]]


def all_stages(value: Any) -> Change:
    return lambda folding: [each["stages"].update(stage1=value) for each in folding["foldings"]]


def first(**changes: Any) -> Change:
    return lambda folding: folding["foldings"][0].update(changes)


BAD: dict[str, tuple[Change, str]] = {
    "an error that is nan": (costs(error_after=float("nan")), "error_after is nan"),
    "an error that is infinite": (costs(error_before=float("inf")), "error_before is inf"),
    "no error": (costs(error_before=None), "error_before is missing"),
    "an error in words": (costs(error_before="x"), "error_before is no number"),
    "an error below 0": (costs(error_after=-50), "error_after is out of range"),
    "an error beyond all numbers": (costs(error_before=10**400), "error_before is out of range"),
    "an error of another network": (costs(error_before=90, error_after=90, only_before=0, only_after=0), "test error"),
    "an error that its images do not make": (costs(only_before=0, only_after=9), "error_after is not what"),
    "an error anew in words": (costs(error_reestimated="x"), "error_reestimated is no number"),
    "a p in a list": (costs(p=[]), "p is no number"),
    "a p above 1": (costs(p=17), "p is out of range"),
    "a p anew that is nan": (costs(p_reestimated=float("nan")), "p_reestimated is nan"),
    "thresholds in words": (costs(threshold="high"), "threshold is no number"),
    "images less than none": (costs(only_after=-1), "only_after is out of range"),
    "more images than there are": (costs(only_before=6000, only_after=6000), "more than the test images"),
    "half an image": (costs(only_before=0.5), "only_before is no whole number"),
    "costs that are no rows": (lambda f: f.update(costs=[1]), "costs is no list of rows"),
    "costs of fewer thresholds": (lambda f: f["costs"].pop(), "costs are not those of"),
    "costs in a mapping": (lambda f: f.update(costs={}), "costs is no list of rows"),
    "a cost that lacks a key": (lambda f: f["costs"][1].pop("error_reestimated"), "error_reestimated"),
    "test images less than none": (lambda f: f.update(test_images=-2), "test_images is out of range"),
    "no test images": (lambda f: f.update(test_images=0), "test_images is out of range"),
    "other test images": (lambda f: (f.update(test_images=5000), costs(only_after=0, only_before=0, error_after=4.0)(f),
                                     costs(error_before=4.0)(f)), "not the run's number of test images"),
    "own layers in words": (lambda f: f["own_layers"].update(stage1="two"), "own_layers of 'stage1' is no whole"),
    "own layers in a list": (lambda f: f.update(own_layers=[1]), "own_layers does not hold"),
    "a million own layers": (lambda f: f["own_layers"].update(stage1=10**6), "own_layers of 'stage1' is out of range"),
    "own layers that fill no page": (lambda f: f["own_layers"].update(stage1=900), "layers are not drawn"),
    "a stage of thousands": (all_stages(list(range(3000))), "is no list of 1 to"),
    "a stage of nothing": (all_stages([]), "is no list of 1 to"),
    "a stage in words": (all_stages("abab"), "is no list of 1 to"),
    "a stage of lists": (all_stages([[1]]), "what names no layer"),
    "no stages": (first(stages={}), "stages does not hold"),
    "a stage whose name is a formula": (first(stages={"$\\frac{": ["a"]}), "is no name"),
    "layers less than none": (first(distinct_layers=-1), "distinct_layers is out of range"),
    "more layers than before": (first(distinct_layers=10**5), "distinct_layers is out of range"),
    "layers in words": (first(layers="many"), "layers is no whole number"),
    "thresholds out of order": (lambda f: (f["foldings"].reverse(), f["costs"].reverse()), "in the order of their"),
    "a similarity of one dimension": (lambda f: f["similarity"].update(stage1=[1.0, 0.5]), "no square matrix"),
    "a ragged similarity": (lambda f: f["similarity"].update(stage1=[[1.0], [1.0, 0.5]]), "is no result of folding"),
    "a similarity of nan": (lambda f: f["similarity"].update(stage1=[[float("nan")]]), "not within -1 and 1"),
    "a similarity beyond 1": (lambda f: f["similarity"].update(stage1=[[1.5]]), "not within -1 and 1"),
    "a similarity in words": (lambda f: f["similarity"].update(stage1=[["0.5"]]), "not within -1 and 1"),
    "a similarity beyond all numbers": (lambda f: f["similarity"].update(stage1=[[10**400]]), "not within -1 and 1"),
    "similarities that fill no page": (
        lambda f: f.update(similarity={str(i): [[0.5] * 150] * 150 for i in range(2)}),
        "layers is not drawn",
    ),
    "of what nobody compares": (lambda f: f.update(of="hopes"), "neither coefficients nor weights"),
    "half a character": (lambda f: f.update(of="\ud800"), "is no result of folding"),
    "a run that is a number": (lambda f: f.update(run=3), "is no result of folding"),
    "a list in its place": (lambda f: f.clear(), "is no result of folding"),
}  # fmt: skip


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_plan("quick", ["figure4"])


@pytest.fixture
def results(plan: Plan, tmp_path: Path) -> Path:
    write_run_folders(plan, tmp_path)
    return tmp_path


@pytest.fixture
def not_for_ever() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise AssertionError("hung")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def spoil(plan: Plan, results: Path, change: Change) -> None:
    """Changes the folding of the first run."""
    file = results / "runs" / plan.runs[0].folder / FOLDING
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.attack("numbers that are none")
@pytest.mark.usefixtures("not_for_ever")
@pytest.mark.parametrize("case", BAD)
def test_a_folding_of_no_numbers_is_left_out_and_told(case: str, plan: Plan, results: Path) -> None:
    change, said = BAD[case]
    before = folded_runs(gather(plan, results).cells["figure4"], results)
    assert all(each.folded for each in before), "what the bench draws can be used"
    spoil(plan, results, change)
    bad, *others = folded_runs(gather(plan, results).cells["figure4"], results)
    assert bad.folded is None and said in bad.instead and "\n" not in bad.instead, bad.instead
    assert str(results) not in bad.instead and all(each.folded for each in others)


@pytest.mark.attack("numbers that are none")
@pytest.mark.usefixtures("not_for_ever")
@pytest.mark.parametrize("case", ["an error that is nan", "no error", "an error of another network"])
def test_the_report_tells_of_it_and_stands(case: str, plan: Plan, results: Path) -> None:
    change, said = BAD[case]
    spoil(plan, results, change)
    text = write_report(plan, results, results / "report.md").read_text().replace("\\", "")
    assert said in text and not re.search(r"\|\s*nan\s*\|", text) and "| 90.00 |" not in text


def test_many_thresholds_of_a_deep_network_are_read(plan: Plan, results: Path) -> None:
    """What real networks may leave: 50 layers a stage, a thousand thresholds."""
    (run, *_) = plan.runs
    file = results / "runs" / run.folder / FOLDING
    content = json.loads(file.read_text())
    folding, (unfolded, cost, *_) = content["foldings"][0], content["costs"]
    thresholds = [step / 1000 for step in range(1001)]
    stages = {"layer3": list(range(50)), "layer4": [0] * 50}
    content["foldings"] = [folding | {"threshold": each, "stages": stages} for each in thresholds]
    content["costs"] = [unfolded, *(cost | {"threshold": each} for each in thresholds)]
    file.write_text(json.dumps(content))
    assert len(read_folding(file).foldings) == 1001
