"""A table without numbers of the paper: rows held against each other, and no verdict invented."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from softshare.errors import UserError
from softshare.evidence.report import write_report
from softshare.evidence.reported import read_reported
from softshare.evidence.runs.gather import gather
from softshare.evidence.tables.writing import build_table, to_csv, to_latex, to_markdown, write_table
from softshare.evidence.wording import DASH
from softshare.files import project_root
from softshare.plan import Plan, load_plan

MakeRun = Callable[..., Path]

STARTS = ["orthogonal", "identity", "sparse", "normal", "uniform"]
ERRORS = {
    "orthogonal": [3.74, 3.80, 3.70, 3.77, 3.69],
    "identity": [3.75, 3.78, 3.74, 3.79, 3.64],
    "normal": [4.10, 4.30, 4.00, 4.20, 4.06],
}


@pytest.fixture
def plan() -> Plan:
    return load_plan("paper", ["appendix-b"])


@pytest.fixture
def results(make_run: MakeRun, plan: Plan, tmp_path: Path) -> Path:
    for row, errors in ERRORS.items():
        for run, error in zip(plan.experiment("appendix-b").cell(row, "cifar10").runs, errors, strict=True):
            make_run(run, error)
    return tmp_path


def frame_of(plan: Plan, results: Path) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(to_csv(build_table(gather(plan, results), "appendix-b")))).set_index("row")


def shown(plan: Plan, results: Path) -> dict[str, dict[str, str]]:
    lines = to_markdown(build_table(gather(plan, results), "appendix-b"), title=False).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("|")]
    return {row[0]: dict(zip(cells[0], row, strict=True)) for row in cells[2:]}


def test_five_starts_of_one_network_differ_in_nothing_else(plan: Plan) -> None:
    experiment = plan.experiment("appendix-b")
    assert list(experiment.rows) == STARTS and experiment.compare_with == "orthogonal"
    assert {cell.paper.model for cell in experiment.cells} == {"swrn-28-10"}
    paper = read_reported(experiment)
    assert [paper.number(row, "cifar10") for row in STARTS] == [None] * 5
    assert {row.training["coefficients"] for row in paper.rows.values()} == set(STARTS)


def test_there_is_nothing_to_compare_and_it_says_so(plan: Plan, results: Path) -> None:
    rows = shown(plan, results)
    assert list(rows) == STARTS
    for row in ERRORS:
        assert rows[row]["Paper"] == rows[row]["Difference"] == DASH
        assert rows[row]["Verdict"] == "no number in the paper" and rows[row]["n"] == "5 of 5"
    for row in ("sparse", "uniform"):
        assert rows[row]["Verdict"] == "not run" and rows[row]["Minus orthogonal"] == DASH
    assert rows["orthogonal"]["Error (%)"] == "3.74 ± 0.05" and rows["orthogonal"]["Minus orthogonal"] == DASH
    frame = frame_of(plan, results)
    assert frame[["paper_value", "paper_n", "difference", "band", "sd_used"]].isna().all(axis=None)


def test_rows_are_held_against_the_orthogonal_start_seed_by_seed(plan: Plan, results: Path) -> None:
    frame = frame_of(plan, results)
    for row in ("identity", "normal"):
        wanted = stats.ttest_rel(ERRORS[row], ERRORS["orthogonal"]).confidence_interval(0.95)
        line = frame.loc[row]
        assert (line["compared_low"], line["compared_high"]) == pytest.approx(tuple(wanted))
        assert (line["compared_with"], line["compared_by"], line["compared_pairs"]) == (
            "orthogonal",
            "paired by seed",
            5,
        )
    # By hand: differences 1, -2, 4, 2, -5 hundredths; sd 3.54, t of 4 degrees 2.776, half-width 4.39.
    assert shown(plan, results)["identity"]["Minus orthogonal"] == "0.00 (\N{MINUS SIGN}0.04 to +0.04; 5 pairs)"
    assert frame.loc[["orthogonal", "sparse", "uniform"], "compared_difference"].isna().all()


def test_other_seeds_are_compared_by_welch(make_run: MakeRun, plan: Plan, tmp_path: Path) -> None:
    cells = {row: plan.experiment("appendix-b").cell(row, "cifar10").runs for row in STARTS}
    for run, error in zip(cells["orthogonal"][:2] + cells["sparse"][2:], [3.7, 3.8, 4.0, 4.1, 4.3], strict=True):
        make_run(run, error)
    line = frame_of(plan, tmp_path).loc["sparse"]
    wanted = stats.ttest_ind([4.0, 4.1, 4.3], [3.7, 3.8], equal_var=False).confidence_interval(0.95)
    assert (line["compared_low"], line["compared_high"]) == pytest.approx(tuple(wanted))
    assert shown(plan, tmp_path)["sparse"]["Minus orthogonal"].endswith("; Welch)")


def test_a_single_run_is_held_against_that_of_its_seed_alone(make_run: MakeRun, plan: Plan, tmp_path: Path) -> None:
    cells = {row: plan.experiment("appendix-b").cell(row, "cifar10").runs for row in STARTS}
    runs = (*cells["orthogonal"][:2], cells["identity"][1], cells["sparse"][2])
    for run, error in zip(runs, [3.7, 3.8, 4.1, 4.2], strict=True):
        make_run(run, error)
    rows = shown(plan, tmp_path)
    assert rows["identity"]["Minus orthogonal"] == "+0.30 (no interval; 1 pair)"
    assert rows["sparse"]["Minus orthogonal"] == DASH
    frame = frame_of(plan, tmp_path)
    assert frame.loc["identity", "compared_pairs"] == 1 and pd.isna(frame.loc["sparse", "compared_difference"])


def test_runs_that_depart_from_the_plan_are_not_compared(make_run: MakeRun, plan: Plan, results: Path) -> None:
    run = plan.experiment("appendix-b").cell("orthogonal", "cifar10").runs[0]
    make_run(run, 3.74, settings={"epochs": 100})
    table = build_table(gather(plan, results), "appendix-b")
    assert all(line.contrast is None for line in table.lines)
    assert "identity, CIFAR-10: not held against orthogonal: runs depart from the plan" in table.notes


def test_rows_made_in_different_places_say_so(make_run: MakeRun, plan: Plan, results: Path) -> None:
    for run, error in zip(plan.experiment("appendix-b").cell("identity", "cifar10").runs, range(5), strict=True):
        make_run(run, 3.7 + error / 100, manifest={"device": "cuda"})
    table = build_table(gather(plan, results), "appendix-b")
    assert "identity, CIFAR-10: with orthogonal: mixes devices: cpu, cuda" in table.notes
    assert not [note for note in table.notes if note.startswith("normal") or "settings" in note]


def test_another_start_than_the_row_s_is_told(make_run: MakeRun, plan: Plan, results: Path) -> None:
    run = plan.experiment("appendix-b").cell("normal", "cifar10").runs[0]
    make_run(run, 4.1, settings={"coefficients": "uniform"})
    notes = build_table(gather(plan, results), "appendix-b").notes
    assert "normal, CIFAR-10: seed 0 ran with coefficients uniform in place of normal" in notes


def test_latex_has_a_column_for_every_cell(plan: Plan, results: Path) -> None:
    text = to_latex(build_table(gather(plan, results), "appendix-b"))
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "&" in line]
    assert len(rows) == 6 and all(line.count(" & ") == 11 for line in rows)
    assert r"\begin{tabular}{llrrp{0.22\linewidth}rrrrlll}" in text and r"\label{tab:appendix-b}" in text
    assert "0.00 ($-$0.04 to +0.04; 5 pairs)" in text and text.isascii()


def test_the_report_counts_no_verdict_where_there_is_no_number(results: Path) -> None:
    plan = load_plan("paper", ["table1", "appendix-b"])
    write_table(plan, "appendix-b", results, results / "tables")
    text = write_report(plan, results, results / "report.md").read_text()
    verdicts = text[text.index("| Verdict |") : text.index("How a verdict")]
    # Of Table 1's ten numbers one was run: SWRN 28-10 is the orthogonal start.
    assert "| reproduced | 1 |" in verdicts and "| not run | 9 |" in verdicts
    assert "no number in the paper |" not in verdicts and "5 rows of tables have no number in the paper" in verdicts
    section = text[text.index("## Appendix B") : text.index("## Unusable runs")]
    assert "Source: Appendix B" in section and "spread between seeds" not in section
    assert '"Minus orthogonal": the row\'s error less' in section and "tables/appendix-b.tex" in section
    assert "None" not in section and "\n\n\n\n" not in text


def test_at_the_quick_scale_too(make_run: MakeRun, tmp_path: Path) -> None:
    plan = load_plan("quick", ["appendix-b"])
    assert len(plan.runs) == 10 and {run.seed for run in plan.runs} == {0, 1}
    for index, run in enumerate(plan.runs):
        make_run(run, 3.0 + index**2 / 100, "quick")
    for line in build_table(gather(plan, tmp_path), "appendix-b").lines:
        assert line.judgement.verdict == "no number in the paper"
        assert (line.contrast is None) == (line.row.label == "orthogonal")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("values: {cifar10: null}", "values: {cifar10: 3.9}"), "datasets.cifar10.n: is missing, though"),
        (("values: {cifar10: null}", "values: {cifar10: none}"), "rows.0.values.cifar10"),
        (("values: {cifar10: null}", "values: {}"), "rows.0.values"),
        (("{name: CIFAR-10}", "{name: CIFAR-10, n: 5}"), "datasets.cifar10"),
    ],
)
def test_a_file_that_does_not_fit(change: tuple[str, str], told: str, tmp_path: Path, plan: Plan) -> None:
    text = (project_root() / "reports/paper" / "appendix-b.yaml").read_text()
    assert change[0] in text
    target = tmp_path / "reports/paper" / "appendix-b.yaml"
    target.parent.mkdir(parents=True)
    target.write_text(text.replace(*change, 1))
    with pytest.raises(UserError) as error:
        read_reported(plan.experiment("appendix-b"), tmp_path)
    assert told in str(error.value) and "appendix-b.yaml" in str(error.value) and "\n" not in str(error.value)
