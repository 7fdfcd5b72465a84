"""The report: complete when all ran, honest when nothing did, and the same bytes each time."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest

from softshare.errors import UserError
from softshare.evidence.claims.judge import judge_claims
from softshare.evidence.figures.writing import write_figure
from softshare.evidence.report import write_report
from softshare.evidence.runs.gather import gather
from softshare.evidence.tables.columns import shown
from softshare.evidence.tables.writing import build_table, write_table
from softshare.evidence.wording import DASH
from softshare.plan import Plan, load_plan

MakeRun = Callable[..., Path]


@pytest.fixture
def quick_results(make_run: MakeRun, make_similarity: Callable[..., None], quick_plan: Plan, tmp_path: Path) -> Path:
    for index, run in enumerate(quick_plan.runs):
        folder = make_run(run, 3.0 + index / 10, "quick")
        make_similarity(folder)
    return tmp_path


def report_of(plan: Plan, results: Path) -> str:
    return write_report(plan, results, results / "report.md").read_text()


def devices_of(text: str) -> list[list[str]]:
    """Rows of the report's table of devices."""
    _, head, below = text.partition("| Device | Precision | Threads | Runs | Time on the device |\n")
    rows = below.split("\n\n")[0].splitlines()[1:] if head else []
    return [re.split(r"(?<!\\) \| ", row.strip("| ")) for row in rows]


def test_a_full_report(quick_results: Path, quick_plan: Plan) -> None:
    write_table(quick_plan, "table1", quick_results, quick_results / "tables")
    text = report_of(quick_plan, quick_results)
    assert "| Runs | 11 complete of 11 planned; 0 not run, 0 unusable |" in text
    assert "| Sum of the runs' wall times | 5.50 hours; several may have run at once |" in text
    assert devices_of(text) == [["cpu", "fp32", "2", "11", "2.75 hours"]]
    assert "| Versions | numpy 2.3.0; torch 2.9.0 |" in text
    assert "| Code | commit aaaaaaaaaaaa (clean) |" in text
    assert "| not comparable | 5 |" in text and "| not run | 5 |" in text and "| reproduced | 0 |" in text
    assert "says nothing about CIFAR" in text
    assert "appendix B" in text and "| cifar, cifar-dropout | padding | zero |" in text
    assert "\n\n\n\n" not in text


def test_every_link_leads_somewhere(quick_results: Path, quick_plan: Plan) -> None:
    write_table(quick_plan, "table1", quick_results, quick_results / "tables")
    write_figure(quick_plan, "figure8", quick_results, quick_results / "figures")
    text = report_of(quick_plan, quick_results)
    links = re.findall(r"(?<!\\)\]\(([^)]+)\)", text)
    assert len([link for link in links if link.endswith("manifest.json")]) == 11
    assert {Path(link).suffix for link in links} == {".json", ".md", ".tex", ".csv", ".png", ".svg", ".pdf"}
    for link in links:
        assert not link.startswith("/") and (quick_results / unquote(link)).is_file(), link


def test_links_follow_the_reports_place(quick_results: Path, quick_plan: Plan) -> None:
    out = quick_results / "elsewhere" / "deep" / "report.md"
    links = re.findall(r"\]\(([^)]+manifest\.json)\)", write_report(quick_plan, quick_results, out).read_text())
    assert links and all((out.parent / link).is_file() for link in links)


def test_nothing_ran(tmp_path: Path, paper_plan: Plan) -> None:
    text = report_of(paper_plan, tmp_path)
    assert "0 complete of 51 planned; 51 not run, 0 unusable" in text
    listed = text.split("## Runs that are not there")[1].split("##")[0].strip().splitlines()
    assert len(listed) == 51 and listed[0] == f"- `{paper_plan.runs[0]}`"
    assert "| Sum of the runs' wall times | not run |" in text and "| Code | not run |" in text
    assert devices_of(text) == []
    assert "| not run | 10 |" in text and "Not drawn." in text
    assert not re.search(r"\bnan\b", text) and "None\n" not in text.replace("None.\n", "")


def test_a_bad_run_is_listed(quick_results: Path, quick_plan: Plan) -> None:
    run = quick_plan.runs[0]
    (quick_results / "runs" / run.folder / "metrics.json").write_text("{")
    text = report_of(quick_plan, quick_results)
    assert "10 complete of 11 planned; 0 not run, 1 unusable" in text
    assert f"- `{run}`: metrics.json is not JSON: truncated?" in text


def test_lossy_images_are_named_where_the_data_are(make_run: MakeRun, quick_plan: Plan, tmp_path: Path) -> None:
    dataset = {"name": "cifar10", "source": "class folders (JPEG)", "fingerprint": "f" * 64}
    make_run(quick_plan.runs[0], 3.0, "quick", manifest={"dataset": dataset})
    told = "cifar10 (SHA-256 ffffffffffff; lossy images in place of the original pixels: class folders (JPEG))"
    assert f"| Data | {told} |" in report_of(quick_plan, tmp_path)


def test_mixed_machines_are_all_named(make_run: MakeRun, quick_plan: Plan, tmp_path: Path) -> None:
    one, two = quick_plan.runs[:2]
    make_run(one, 3.0, "quick")
    changes = {"device": "cuda | H200", "precision": None, "commit": None, "versions": {"torch": "2.8.0"}}
    make_run(two, 3.1, "quick", manifest=changes)
    text = report_of(quick_plan, tmp_path)
    assert [row[:2] for row in devices_of(text)] == [["cpu", "fp32"], ["cuda \\| H200", "not recorded"]]
    assert "commit aaaaaaaaaaaa (clean), commit not recorded" in text
    assert "numpy 2.3.0, not recorded; torch 2.8.0, 2.9.0" in text


def test_hours_of_one_device_are_not_added_to_those_of_another(
    make_run: MakeRun, quick_plan: Plan, tmp_path: Path
) -> None:
    made = [{}, {"device": "H200", "threads": 1}, {"device": "H200", "threads": 1, "precision": "bf16"},
            {"threads": 1}, {"device": "H200", "threads": 1, "processes": 8}, {}]  # fmt: skip
    for index, (run, changes) in enumerate(zip(quick_plan.runs, made, strict=False)):
        make_run(run, 3.0 + index / 10, "quick", manifest={**changes, "device_seconds": 3600.0 * (1 + index)})
    text = report_of(quick_plan, tmp_path)
    assert devices_of(text) == [
        ["H200", "bf16", "1", "1", "3.00 hours"],
        ["H200", "fp32", "1", "1", "2.00 hours"],
        ["H200, 8 processes a run", "fp32", "1", "1", "5.00 hours"],
        ["cpu", "fp32", "1", "1", "4.00 hours"],
        ["cpu", "fp32", "2", "2", "7.00 hours"],
    ]
    page = (tmp_path / "report.html").read_text()
    assert "<caption>Runs and time by device</caption>" in page
    assert '<th scope="row">H200, 8 processes a run</th><td>fp32</td>' in page


def test_without_a_forecast_nothing_is_said_of_one(quick_results: Path, quick_plan: Plan) -> None:
    text = report_of(quick_plan, quick_results)
    assert "orecast" not in text and 'id="forecast"' not in (quick_results / "report.html").read_text()


def test_a_forecast_stands_beside_what_the_runs_took(
    make_run: MakeRun, make_forecast: Callable[..., Path], quick_results: Path, quick_plan: Plan
) -> None:
    without = report_of(quick_plan, quick_results)
    make_forecast(quick_plan)
    make_run(quick_plan.runs[0], 3.0, "quick", manifest={"device": "H200 | SXM"})
    make_run(quick_plan.runs[1], 3.1, "quick", manifest={"started": "2026-11-01T13:00:00+00:00"})
    text = report_of(quick_plan, quick_results)
    section = text.split("## The forecast and what the runs took\n")[1].split("\n## ")[0]
    assert "made 2026-11-20T08:00:00+00:00 at commit bbbbbbbbbbbb (clean), for cpu, fp32" in section
    assert "| in all, every run | 9 | 7200.0 | 8100.0 | 1.12 |" in section
    assert "\n9 of 11 runs: in all took/forecast = 1.12: within 15 %.\n" in section
    assert "\n- not held against it: 1 run on H200 \\| SXM, fp32, 2 threads\n" in section
    assert "\n- not held against it: 1 run started before the forecast\n" in section
    assert "\n\n\n" not in section and "(forecast.json)" in section
    page = (quick_results / "report.html").read_text()
    assert '<a href="#forecast">' in page and "in all took/forecast = 1.12: within 15 %" in page
    assert "H200 | SXM, fp32, 2 threads</li>" in page
    (quick_results / "forecast.json").unlink()
    for run in quick_plan.runs[:2]:
        make_run(run, 3.0 + quick_plan.runs.index(run) / 10, "quick")
    assert report_of(quick_plan, quick_results) == without


def test_a_damaged_forecast_is_named(make_forecast: Callable[..., Path], quick_results: Path, quick_plan: Plan) -> None:
    make_forecast(quick_plan, made="yesterday")
    with pytest.raises(UserError, match=r"forecast\.json: is no forecast \(made .*'yesterday'\); delete it"):
        report_of(quick_plan, quick_results)


def test_rebuilt_byte_for_byte_wherever_it_lies(make_run: MakeRun, quick_results: Path, quick_plan: Plan) -> None:
    first = report_of(quick_plan, quick_results)
    assert report_of(quick_plan, quick_results) == first
    moved = quick_results.rename(quick_results.with_name("moved"))
    assert report_of(quick_plan, moved) == first
    assert str(moved.parent) not in first


@pytest.mark.parametrize(("scale", "told"), [("compact", "Real data (cifar10)"), ("paper", "what the paper ran")])
def test_the_caveat_fits_the_scale(scale: str, told: str, tmp_path: Path) -> None:
    assert told in report_of(load_plan(scale, ["table1"]), tmp_path)


def test_claims_stand_in_the_report_with_what_was_found(quick_results: Path, quick_plan: Plan) -> None:
    text = report_of(quick_plan, quick_results)
    section = text.split("## Claims\n")[1].split("\n## ")[0]
    claims = judge_claims(quick_plan, quick_results).judged
    assert section.count("\n| ") == len(claims) + 1  # the heading's row
    assert "need no run of this scale" in text and "on the architecture" in text


def test_an_interval_of_two_seeds_is_not_shown(make_run: MakeRun, quick_plan: Plan, tmp_path: Path) -> None:
    for run in quick_plan.runs:
        make_run(run, 3.0 + run.seed, "quick")
    table = build_table(gather(quick_plan, tmp_path), "table1")
    cells = [shown(line, table.beside, None) for line in table.lines if line.evidence.complete]
    assert cells and all(row["95 % interval"] == DASH for row in cells if row["n"].startswith("2 of"))
    assert list(cells[0])[:5] == ["Row", "Dataset", "Error (%)", "Paper", "Verdict"]
    assert list(cells[0])[-1] == "What was run"
