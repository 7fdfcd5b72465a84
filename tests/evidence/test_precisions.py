"""The line on complete runs in another precision than the one that is named."""

import json

import pytest

from softshare.evidence.runs.precisions import left_in_others
from softshare.plan import load_plan

PLAN = load_plan("compact", ["table1"])


@pytest.fixture
def complete(tmp_path):
    """Puts a complete run of the plan into a precision; of None, one that is still in training."""

    def put(index, precision):
        folder = tmp_path / "runs" / PLAN.runs[index].folder
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"precision": precision}))
        if precision:
            (folder / "metrics.json").write_text("{}")

    return put


def test_runs_in_another_precision_are_counted(complete, tmp_path):
    for index, precision in enumerate(("bf16", "bf16", "fp32")):
        complete(index, precision)
    assert "complete runs stay as they are, 2 in bf16, and" in left_in_others(PLAN, tmp_path, "fp32")
    assert "stay as they are, 2 in bf16 and 1 in fp32, and" in left_in_others(PLAN, tmp_path, "tf32")


@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_nothing_is_said_where_none_is_named_or_all_are_alike(complete, tmp_path, precision):
    complete(0, "bf16")
    if precision == "auto":
        complete(1, "fp32")
    assert left_in_others(PLAN, tmp_path, precision) == ""


def test_runs_that_are_not_there_or_cannot_be_read_are_passed_over(complete, tmp_path):
    complete(0, None)
    complete(1, 16)
    complete(2, "bf16")
    (tmp_path / "runs" / PLAN.runs[2].folder / "manifest.json").write_text("[")
    assert left_in_others(PLAN, tmp_path, "fp32") == ""
