"""Every table and figure of the paper stands in the report at every scale, whatever ran."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from softshare.evidence.figures.legends import LEGENDS
from softshare.evidence.figures.writing import KINDS, write_figure
from softshare.evidence.report import write_report
from softshare.evidence.tables.writing import write_table
from softshare.files import project_root
from softshare.plan import FIGURES, Plan, load_plan

MakeRun = Callable[..., Path]
SCALES = ["quick", "compact", "paper"]
# Of the other experiments the shortest-path task makes its own report.
NAMES = ["table1", "table2", "table3", "table4", "appendix-b", "figure3", "figure4", "figure6", "figure7", "figure8"]


def test_each_kind_of_figure_is_made_and_has_a_legend() -> None:
    schema = yaml.safe_load((project_root() / "workflow" / "schemas" / "experiment.schema.yaml").read_text())
    assert LEGENDS.keys() == KINDS.keys() == set(FIGURES)
    assert set(schema["properties"]["kind"]["enum"]) == {"table", *FIGURES}


def build(plan: Plan, results: Path) -> str:
    for experiment in plan.of_kind("table"):
        write_table(plan, experiment.name, results, results / "tables")
    for experiment in plan.of_kind(*FIGURES):
        write_figure(plan, experiment.name, results, results / "figures")
    return write_report(plan, results, results / "report.md").read_text()


def check(text: str, plan: Plan, results: Path) -> None:
    headings = re.findall(r"^## (.*)$", text, re.M)
    for experiment in plan.experiments:
        assert experiment.title.replace("*", r"\*") in headings
        for row in experiment.quoted:
            assert row in text
    for link in re.findall(r"(?<!\\)\]\(([^)]+)\)", text):
        assert (results / link).is_file(), link
    assert not re.search(r"\bnan\b|\bNone\b(?!\.)", text) and "\n\n\n\n" not in text


@pytest.mark.parametrize("scale", SCALES)
def test_from_nothing_at_all(scale: str, tmp_path: Path) -> None:
    plan = load_plan(scale, NAMES)
    text = build(plan, tmp_path)
    check(text, plan, tmp_path)
    assert f"0 complete of {len(plan.runs)} planned; {len(plan.runs)} not run, 0 unusable" in text
    assert ("imagenet/swrn-50-2/imagenet/seed2" in text) == (scale == "paper")
    assert "not run at this scale" in text or scale == "paper"


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["quick", "paper"])
def test_from_a_part_of_the_runs(
    scale: str, make_run: MakeRun, make_similarity: Callable[..., None], tmp_path: Path
) -> None:
    plan = load_plan(scale, NAMES)
    made = plan.runs[::3]
    for index, run in enumerate(made):
        folder = make_run(run, 3.0 + index / 100, scale)
        if "swrn" in run.setting.model:
            make_similarity(folder)
    bad = plan.runs[1]
    make_run(bad, 3.0, scale)
    (tmp_path / "runs" / bad.folder / "metrics.json").write_text("{")
    text = build(plan, tmp_path)
    check(text, plan, tmp_path)
    assert f"{len(made)} complete of {len(plan.runs)} planned" in text and "1 unusable" in text


def test_what_the_paper_leaves_open_is_told_for_cutout_once_a_choice(tmp_path: Path) -> None:
    text = write_report(load_plan("paper", ["table4"]), tmp_path, tmp_path / "report.md").read_text()
    assert "| cifar-cutout | dropout | 0.0 | Table 4 does not say" in text
    assert "| cifar-cutout-dropout | dropout | 0.3 | Table 4 does not say" in text
