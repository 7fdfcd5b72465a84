"""Table 1 from folders made by hand: every verdict, and no number that nobody measured."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from softshare.errors import UserError
from softshare.evidence.markup import latex, markdown
from softshare.evidence.runs.gather import gather
from softshare.evidence.tables.writing import build_table, to_csv, to_latex, to_markdown, write_table
from softshare.plan import Cell, Plan

MakeRun = Callable[..., Path]

# Verdict by row on CIFAR-10: distance from the paper's number, and seeds that ran.
KNOWN = {
    "WRN 28-10": ("reproduced", 0.10, 5),
    "WRN 28-10*": ("close", 0.25, 5),
    "SWRN 28-10": ("not reproduced", 0.50, 5),
    "SWRN 28-10*": ("inconclusive", 0.00, 2),
    "SWRN 28-10-1": ("not run", 0.00, 0),
}
PAPER = {"WRN 28-10": 4.00, "WRN 28-10*": 3.89, "SWRN 28-10": 3.74, "SWRN 28-10*": 3.88, "SWRN 28-10-1": 4.01}


def run_cell(make_run: MakeRun, cell: Cell, mean: float, seeds: int, scale: str = "paper") -> None:
    for index, run in enumerate(cell.runs[:seeds]):
        make_run(run, round(mean + 0.01 * (index - (seeds - 1) / 2), 6), scale)


@pytest.fixture
def full(make_run: MakeRun, paper_plan: Plan, tmp_path: Path) -> Path:
    for row, (_, offset, seeds) in KNOWN.items():
        cell = paper_plan.experiment("table1").cell(row, "cifar10")
        run_cell(make_run, cell, PAPER[row] + offset, seeds)
    return tmp_path


def frame_of(plan: Plan, results: Path) -> pd.DataFrame:
    text = to_csv(build_table(gather(plan, results), "table1"))
    return pd.read_csv(io.StringIO(text)).set_index(["row", "paper_dataset"])


def test_every_verdict_at_the_papers_scale(full: Path, paper_plan: Plan) -> None:
    frame = frame_of(paper_plan, full)
    for row, (verdict, offset, seeds) in KNOWN.items():
        line = frame.loc[(row, "cifar10")]
        assert line["verdict"] == verdict, row
        assert line["n"] == seeds and line["n_planned"] == 5
        if seeds:
            assert line["difference"] == pytest.approx(offset, abs=1e-6)
            assert line["mean"] == pytest.approx(PAPER[row] + offset)
            assert line["run_parameters"] == float(line["paper_parameters_exact"])
        else:
            unmeasured = [
                "run_model",
                "run_epochs",
                "run_parameters",
                "mean",
                "sd",
                "interval_low",
                "difference",
            ]
            assert line[unmeasured].isna().all()
    assert (frame.xs("cifar100", level=1)["verdict"] == "not run").all()


def test_the_reader_sees_what_ran(full: Path, paper_plan: Plan) -> None:
    text = to_markdown(build_table(gather(paper_plan, full), "table1"))
    line = next(line for line in text.splitlines() if line.startswith("| WRN 28-10 "))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == [
        "WRN 28-10",
        "CIFAR-10",
        "4.10 ± 0.02",
        "4.00",
        "reproduced",
        "+0.10",
        "4.08 to 4.12",
        "5 of 5",
        "36M",
        "36,479,194",
        "wrn-28-10 on cifar10, 200 epochs, recipe cifar",
    ]
    assert "| WRN 28-10\\* " in text
    not_run = next(line for line in text.splitlines() if line.startswith("| SWRN 28-10-1 "))
    assert "not run; planned: swrn-28-10-1 on cifar10, 200 epochs" in not_run and "0 of 5" in not_run


def test_another_scale_is_never_compared(make_run: MakeRun, quick_plan: Plan, tmp_path: Path) -> None:
    cell = quick_plan.experiment("table1").cell("SWRN 28-10", "cifar10")
    run_cell(make_run, cell, 3.74, 2, "quick")
    line = frame_of(quick_plan, tmp_path).loc[("SWRN 28-10", "cifar10")]
    assert line["verdict"] == "not comparable" and line["mean"] == pytest.approx(3.74)
    assert line[["difference", "band", "sd_used"]].isna().all()
    text = to_markdown(build_table(gather(quick_plan, tmp_path), "table1"))
    planned = "swrn-22-1 on digits, 8 epochs, recipe cifar"
    assert f"{planned}; in place of swrn-28-10 on cifar10, 200 epochs" in text
    assert "not run at this scale" in text


def test_what_is_compared_hangs_on_the_runs_and_not_on_the_scale_s_name(
    make_run: MakeRun, paper_plan: Plan, tmp_path: Path
) -> None:
    shorter = dataclasses.replace(paper_plan, scale=dataclasses.replace(paper_plan.scale, training={"epochs": 2}))
    runs = paper_plan.experiment("table1").cell("WRN 28-10", "cifar10").runs
    for run in runs:
        make_run(run, 4.0 + run.seed / 100, settings={"epochs": 2})
    (line, *_) = build_table(gather(shorter, tmp_path), "table1").lines
    assert line.judgement.n == len(runs) and line.judgement.verdict == "not comparable"
    assert "trained with epochs 2 in place of the paper's 200" in line.notes


def test_lossy_images_are_not_the_paper_s(make_run: MakeRun, paper_plan: Plan, tmp_path: Path) -> None:
    for run in paper_plan.experiment("table1").cell("WRN 28-10", "cifar10").runs:
        make_run(
            run,
            4.0 + run.seed / 100,
            manifest={"dataset": {"name": "cifar10", "source": "JPEG copy", "fingerprint": "f" * 64}},
        )
    (line, *_) = build_table(gather(paper_plan, tmp_path), "table1").lines
    assert line.judgement.verdict == "not comparable" and any("lossy" in note for note in line.notes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"settings": {"epochs": 50}}, "seed 0 ran with epochs 50 in place of 200"),
        ({"settings": {"validation": 0.1}}, "seed 0 ran with validation 0.1 in place of 0.0"),
        ({"metrics": {"parameters": 36479195}}, "36,479,195 parameters in place of 36,479,194"),
    ],
)
def test_a_run_that_departs_from_the_plan_is_not_compared(
    changes: dict, told: str, make_run: MakeRun, paper_plan: Plan, tmp_path: Path
) -> None:
    for run in paper_plan.experiment("table1").cell("WRN 28-10", "cifar10").runs:
        make_run(run, 4.0 + run.seed / 100, **(changes if run.seed == 0 else {}))
    table = build_table(gather(paper_plan, tmp_path), "table1")
    assert table.lines[0].judgement.verdict == "not comparable"
    assert any(told in note for note in table.notes) and markdown(told) in to_markdown(table)


def test_a_bad_run_is_left_out_and_said_so(make_run: MakeRun, paper_plan: Plan, tmp_path: Path) -> None:
    cell = paper_plan.experiment("table1").cell("WRN 28-10", "cifar10")
    run_cell(make_run, cell, 4.0, 5)
    (tmp_path / "runs" / cell.runs[4].folder / "metrics.json").write_text("{")
    table = build_table(gather(paper_plan, tmp_path), "table1")
    assert table.lines[0].judgement.n == 4 and table.lines[0].judgement.verdict == "reproduced"
    assert "WRN 28-10, CIFAR-10: seed 4 left out: metrics.json is not JSON: truncated?" in table.notes


def test_latex_is_escaped(full: Path, paper_plan: Plan) -> None:
    text = to_latex(build_table(gather(paper_plan, full), "table1"))
    assert r"\toprule" in text and r"\bottomrule" in text and r"\begin{table}" in text
    assert r"WRN 28-10$^{*}$ & CIFAR-10" in text and r"4.10 $\pm$ 0.02" in text
    assert r"test error (\%)" in text and r"\label{tab:table1}" in text
    assert text.isascii()
    body = text.replace(r"\\", "").replace(r"\%", "").splitlines()[1:]
    assert not any("%" in line for line in body)
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "CIFAR-" in line and "&" in line]
    assert len(rows) == 10 and all(line.count(" & ") == 10 for line in rows)
    assert text.count("{") == text.count("}")


def test_text_with_any_letters() -> None:
    assert latex(r"a_b & 50% #1 {x} ~^\ $ <|>") == (
        r"a\_b \& 50\% \#1 \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{} "
        r"\$ \textless{}\textbar{}\textgreater{}"
    )
    assert latex("[6pt] x") == "{[}6pt{]} x"
    assert markdown("a|b *c* <d> [e](f)\n") == r"a\|b \*c\* \<d\> \[e\](f) "


def test_rebuilt_byte_for_byte(full: Path, paper_plan: Plan) -> None:
    files = write_table(paper_plan, "table1", full, full / "tables")
    assert [file.name for file in files] == ["table1.md", "table1.tex", "table1.csv", "table1.html"]
    first = [file.read_bytes() for file in files]
    write_table(paper_plan, "table1", full, full / "tables")
    assert [file.read_bytes() for file in files] == first
    assert sorted(file.name for file in (full / "tables").iterdir()) == sorted(file.name for file in files)


def test_nothing_ran(paper_plan: Plan, tmp_path: Path) -> None:
    write_table(paper_plan, "table1", tmp_path / "none", tmp_path / "tables")
    frame = pd.read_csv(tmp_path / "tables" / "table1.csv")
    assert (frame["verdict"] == "not run").all() and frame["mean"].isna().all()


def test_no_such_table(paper_plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no experiment of kind 'table'"):
        write_table(paper_plan, "figure8", tmp_path, tmp_path / "tables")
    assert not (tmp_path / "tables").exists()
