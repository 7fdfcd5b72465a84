"""No verdict from runs that are not of one kind: the row says so, at every place where it is read."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from softshare.evidence.claims import judge_claims
from softshare.evidence.report import write_report
from softshare.evidence.runs.gather import gather
from softshare.evidence.tables.writing import build_table, write_table
from softshare.evidence.verdict import Verdict
from softshare.plan import Plan, load_plan
from softshare.scales import Run, Setting

RUN = Setting("cifar10", "swrn-28-10", "cifar")
BASE = Setting("cifar10", "wrn-28-10", "cifar")

# How one of five runs is unlike the others, and what the row must say of it.
MIXED: dict[str, tuple[dict[str, Any], str]] = {
    "other settings": ({"settings": {"padding": "reflect"}}, "mixes settings of padding: reflect, zero"),
    "another commit": ({"manifest": {"commit": "b" * 40}}, "mixes code"),
    "no commit": ({"manifest": {"commit": None}}, "mixes code"),
    "uncommitted changes": ({"manifest": {"dirty": True}}, "mixes code"),
    "resumed with another commit": (
        {"manifest": {"stretches": [{"commit": letter * 40, "dirty": False} for letter in "ab"]}},
        f"seed 3 was trained with code that changed: {'a' * 40}, then {'b' * 40}",
    ),
    "resumed with uncommitted changes": (
        {"manifest": {"stretches": [{"commit": "a" * 40, "dirty": dirty} for dirty in (True, False)]}},
        f"seed 3 was trained with code that changed: {'a' * 40} with changes, then {'a' * 40}",
    ),
    "other data": (
        {"manifest": {"dataset": {"name": "cifar10", "source": "elsewhere", "fingerprint": "e" * 64}}},
        "mixes versions of the dataset",
    ),
    "another precision": ({"manifest": {"precision": "bf16"}}, "mixes precisions: bf16, fp32"),
    "several processes": ({"manifest": {"processes": 8}}, "mixes numbers of processes: 1, 8"),
    "batch norm over all": ({"manifest": {"batch_norm": "synchronised"}}, "mixes kinds of batch norm"),
    "compiled": ({"manifest": {"compile": True}}, "mixes kinds of compilation: compiled, not compiled"),
    "decoded by FFCV": (
        {"manifest": {"identity": {"decoding": "ffcv 1234"}}},
        "mixes decodings: ffcv 1234, the originals",
    ),
    "another network": ({"metrics": {"parameters": 7}}, "mixes numbers of parameters"),
    "fewer test images": (
        {"metrics": {"test": {"error": 3.9, "top5_error": 0.1, "loss": 0.2, "images": 9000}}},
        "mixes numbers of test images: 10000, 9000",
    ),
}


def verdict_of(plan: Plan, results: Path, row: str) -> tuple[Verdict, str]:
    (line,) = [
        line
        for line in build_table(gather(plan, results), "table1").lines
        if line.row.label == row and line.evidence.cell.paper.dataset == "cifar10"
    ]
    return line.judgement.verdict, "\n".join(line.notes)


@pytest.mark.attack("verdicts from mixed runs and repeated seeds")
@pytest.mark.parametrize("case", MIXED)
def test_mixed_runs_have_no_verdict(
    case: str, make_run: Callable[..., Path], paper_plan: Plan, judge_claim: Callable[..., Any], tmp_path: Path
) -> None:
    for seed in range(5):
        make_run(Run(RUN, seed), 3.9 + seed / 100)
        make_run(Run(BASE, seed), 4.0 + seed / 100)
    assert verdict_of(paper_plan, tmp_path, "SWRN 28-10")[0] in (Verdict.REPRODUCED, Verdict.CLOSE)
    claim = {"kind": "direction", "lower": str(RUN), "higher": str(BASE)}
    assert judge_claim(claim).finding.verdict is not Verdict.MIXED
    changes, said = MIXED[case]
    make_run(Run(RUN, 3), 3.9, **changes)
    verdict, notes = verdict_of(paper_plan, tmp_path, "SWRN 28-10")
    # What departs from the paper's settings or network is no answer, and that is said first.
    wanted = Verdict.NOT_COMPARABLE if case in ("other settings", "another network") else Verdict.MIXED
    assert verdict is wanted and said in notes
    assert verdict_of(paper_plan, tmp_path, "WRN 28-10")[0] in (Verdict.REPRODUCED, Verdict.CLOSE)
    finding = judge_claim(claim).finding
    assert finding.verdict is (Verdict.NOT_COMPARABLE if case == "other settings" else Verdict.MIXED)
    assert finding.p is None
    write_table(paper_plan, "table1", tmp_path, tmp_path / "tables")
    with (tmp_path / "tables/table1.csv").open() as lines:
        (row,) = [
            row for row in csv.DictReader(lines) if (row["row"], row["paper_dataset"]) == ("SWRN 28-10", "cifar10")
        ]
    assert row["verdict"] == str(wanted) and row["difference"] == "" and said in row["notes"]


@pytest.mark.attack("verdicts from mixed runs and repeated seeds")
@pytest.mark.parametrize("relabel", [False, True])
def test_a_seed_repeated_counts_once(
    relabel: bool, make_run: Callable[..., Path], paper_plan: Plan, tmp_path: Path
) -> None:
    folder = make_run(Run(RUN, 0), 3.9)
    for seed in range(1, 5):
        copy = folder.with_name(f"seed{seed}")
        shutil.copytree(folder, copy)
        if relabel:  # a forger changes the seed in the files too
            for name in ("metrics.json", "manifest.json"):
                content = json.loads((copy / name).read_text())
                (content if name == "metrics.json" else content["settings"]).update(seed=seed)
                (copy / name).write_text(json.dumps(content))
    (line,) = [
        line
        for line in build_table(gather(paper_plan, tmp_path), "table1").lines
        if Run(RUN, 0) in line.evidence.cell.runs
    ]
    assert line.judgement.n == 1 and line.judgement.verdict is Verdict.INCONCLUSIVE
    told = "repeats the numbers of" if relabel else "belongs to another run"
    assert sum(told in note for note in line.notes) == 4


@pytest.mark.attack("numbers that are none")
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0, 101.0, None, "3.9", True])
@pytest.mark.parametrize("place", ["error", "top5_error", "loss"])
def test_what_is_no_number_is_no_cell(
    number: Any, place: str, make_run: Callable[..., Path], paper_plan: Plan, tmp_path: Path
) -> None:
    if place == "loss" and number == 101.0:
        pytest.skip("a loss may be 101")
    test = {"error": 3.9, "top5_error": 0.1, "loss": 0.2, "images": 10000} | {place: number}
    make_run(Run(RUN, 0), 3.9, metrics={"test": test})
    for seed in (1, 2, 3):
        make_run(Run(RUN, seed), 3.9 + seed / 100)
    (line,) = [
        line
        for line in build_table(gather(paper_plan, tmp_path), "table1").lines
        if Run(RUN, 0) in line.evidence.cell.runs
    ]
    assert line.judgement.n == 3 and any("seed 0 left out: metrics.json: test" in note for note in line.notes)


@pytest.mark.attack("verdicts from mixed runs and repeated seeds")
def test_runs_that_all_changed_their_code_at_one_place_are_mixed_too(
    make_run: Callable[..., Path], paper_plan: Plan, tmp_path: Path
) -> None:
    stretches = [{"commit": letter * 40, "dirty": False} for letter in "ab"]
    for seed in range(5):
        make_run(Run(RUN, seed), 3.9 + seed / 100, manifest={"commit": "b" * 40, "stretches": stretches})
    assert verdict_of(paper_plan, tmp_path, "SWRN 28-10")[0] is Verdict.MIXED
    write_report(paper_plan, tmp_path, tmp_path / "report.md")
    told = f"commit {'a' * 12} (clean), then commit {'b' * 12} (clean)"
    assert told in (tmp_path / "report.md").read_text()


def test_commits_that_change_a_page_alone_mix_nothing(
    make_run: Callable[..., Path], paper_plan: Plan, tmp_path: Path
) -> None:
    """One commit a run, or a run resumed at another, and the source files that train are the same."""
    code = "c" * 64
    for seed in range(5):
        stretches = [{"commit": f"{seed + n}" * 40, "dirty": False, "code": code} for n in range(2)]
        make_run(Run(RUN, seed), 3.9 + seed / 100, manifest={"code": code, "stretches": stretches})
    assert verdict_of(paper_plan, tmp_path, "SWRN 28-10")[0] in (Verdict.REPRODUCED, Verdict.CLOSE)


@pytest.mark.attack("verdicts from mixed runs and repeated seeds")
@pytest.mark.parametrize("resumed", [False, True], ids=["another seed", "another stretch"])
def test_other_source_files_mix_at_one_commit_too(
    resumed: bool, make_run: Callable[..., Path], paper_plan: Plan, tmp_path: Path
) -> None:
    """Two trees with uncommitted changes are two codes, though the commit is one."""
    same, other = ({"commit": "a" * 40, "dirty": True, "code": letter * 64} for letter in "cd")
    for seed in range(5):
        stretches = [same, *([other] if resumed else [])] if seed == 3 else [same]
        told = other if seed == 3 and not resumed else same
        make_run(Run(RUN, seed), 3.9 + seed / 100, manifest=told | {"stretches": stretches if resumed else [told]})
    assert verdict_of(paper_plan, tmp_path, "SWRN 28-10")[0] is Verdict.MIXED


def test_where_one_run_tells_no_source_files_commits_decide(
    make_run: Callable[..., Path], paper_plan: Plan, tmp_path: Path
) -> None:
    for seed in range(5):
        told = {"commit": ("a" if seed else "b") * 40} | ({"code": "c" * 64} if seed else {})
        make_run(Run(RUN, seed), 3.9 + seed / 100, manifest=told)
    assert verdict_of(paper_plan, tmp_path, "SWRN 28-10")[0] is Verdict.MIXED


def test_a_run_that_went_on_elsewhere_says_both_devices(
    make_run: Callable[..., Path], paper_plan: Plan, tmp_path: Path
) -> None:
    for seed in range(5):
        stretches = [{"device": "one"}, {"device": "other"}] if seed == 3 else [{"device": "other"}]
        make_run(Run(RUN, seed), 3.9 + seed / 100, manifest={"device": "other", "stretches": stretches})
    assert "mixes devices: one, then other, other" in verdict_of(paper_plan, tmp_path, "SWRN 28-10")[1]


@pytest.mark.parametrize("told", [{"identity": None}, {"identity": []}, {"identity": {}}, {"compile": False}])
def test_manifests_that_tell_no_decoding_are_not_mixed(
    told: dict[str, Any], make_run: Callable[..., Path], paper_plan: Plan, tmp_path: Path
) -> None:
    for seed in range(5):
        make_run(Run(RUN, seed), 3.9 + seed / 100, manifest=told if seed == 3 else {})
    assert verdict_of(paper_plan, tmp_path, "SWRN 28-10")[0] in (Verdict.REPRODUCED, Verdict.CLOSE)


def test_code_that_nobody_recorded_is_said(make_run: Callable[..., Path], paper_plan: Plan, tmp_path: Path) -> None:
    for seed in range(5):
        make_run(Run(RUN, seed), 3.9 + seed / 100, manifest={"commit": None, "dirty": None})
    assert "code not recorded: seed 0, 1, 2, 3, 4" in verdict_of(paper_plan, tmp_path, "SWRN 28-10")[1]


def test_another_torch_is_said(make_run: Callable[..., Path], paper_plan: Plan, tmp_path: Path) -> None:
    for seed in range(5):
        make_run(Run(RUN, seed), 3.9 + seed / 100, manifest={"versions": {"torch": f"2.{seed // 4}"}})
    assert "mixes versions of torch: 2.0, 2.1" in verdict_of(paper_plan, tmp_path, "SWRN 28-10")[1]


def test_the_report_and_the_claims_tell_of_mixed_runs(make_run: Callable[..., Path], tmp_path: Path) -> None:
    plan = load_plan("paper", ["table1"])
    for seed in range(5):
        make_run(Run(RUN, seed), 3.9 + seed / 100, manifest={"commit": f"{seed}" * 40})
    write_report(plan, tmp_path, tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    assert "| mixed runs | 1 |" in text and "mixes code" in text
    mixed = [each for each in judge_claims(plan, tmp_path, tmp_path / "bench").judged if "mixes code" in str(each)]
    assert mixed and all(each.finding.verdict not in (Verdict.REPRODUCED, Verdict.CLOSE) for each in mixed)
