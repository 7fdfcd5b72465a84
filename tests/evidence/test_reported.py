"""The paper's numbers: Table 1 as printed, and what a file that does not fit is told."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from softshare.errors import UserError
from softshare.evidence.reported import read_reported, require_reported
from softshare.files import project_root
from softshare.names import DATASETS, parse_model_name
from softshare.plan import Plan, load_plan

PRINTED = {
    "WRN 28-10": ("36M", 4.00, 19.25),
    "WRN 28-10*": ("36M", 3.89, 18.85),
    "SWRN 28-10": ("36M", 3.74, 18.78),
    "SWRN 28-10*": ("36M", 3.88, 18.43),
    "SWRN 28-10-1": ("12M", 4.01, 19.73),
}


def test_table_1_as_printed(paper_plan: Plan) -> None:
    table = read_reported(paper_plan.experiment("table1"))
    rows = table.rows.values()
    assert {r.label: (r.parameters, r.values["cifar10"], r.values["cifar100"]) for r in rows} == PRINTED
    one, other = table.number("SWRN 28-10", "cifar100"), table.number("WRN 28-10", "cifar10")
    assert one and other and (one.prior_sd, other.n, other.no_worse_margin) == (0.23, 5, 0.3)


def test_exact_parameters_follow_from_the_architecture(paper_plan: Plan) -> None:
    experiment = paper_plan.experiment("table1")
    table = read_reported(experiment)
    for cell in experiment.cells:
        exact = table.rows[cell.row].exact_parameters[cell.paper.dataset]
        assert exact == count_parameters(cell.paper.model, DATASETS[cell.paper.dataset]), cell.row


def count_parameters(name: str, classes: int) -> int:
    """Section 4.1 by hand: convolutions without bias, a batch norm before each, shared templates."""
    net = parse_model_name(name)
    total, before = 3 * 16 * 9, 16
    for stage in range(3):
        width = 16 * net.width * 2**stage
        total += before * width * 9 + width * width * 9 + before * width  # first block and its shortcut
        templates = net.templates or net.layers
        total += templates * width * width * 9
        total += templates * net.layers if net.shared else 0
        total += 2 * before + 2 * width + net.layers * 2 * width  # batch norms
        before = width
    return total + 2 * before + before * classes + classes


def copy_of_the_project(root: Path, change: tuple[str, str]) -> Path:
    source = project_root() / "reports" / "paper" / "table1.yaml"
    target = root / "reports" / "paper" / "table1.yaml"
    target.parent.mkdir(parents=True)
    text = source.read_text()
    assert change[0] in text
    target.write_text(text.replace(*change, 1))
    return root


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("decimals: 2", "decimlas: 2"), "decimlas: 2: unknown key; did you mean 'decimals'"),
        (("cifar10: 4.00", "cifar10: 400"), "400 is greater than the maximum"),
        (("prior_sd: 0.11", "prior_sd: 0"), "prior_sd"),
        (("cifar10: 4.00, ", ""), "rows.WRN 28-10: 'cifar10': has no value in this row"),
        (("- label: SWRN 28-10-1", "- label: SWRN 28-10-3"), "'SWRN 28-10-1': has no such row; did you mean"),
        (("- label: WRN 28-10*", "- label: WRN 28-10"), "rows.1.label: 'WRN 28-10': appears twice"),
        (
            ("values: {cifar10: 4.00,", "values: {cifar01: 4.00,"),
            "'cifar01': is not under datasets; did you mean",
        ),
        (("experiment: table1", "experiment: table2"), "'table2': is not the file's name"),
        (("    n: 5\n", ""), "datasets.cifar10.n: is missing, though row 'WRN 28-10' has a number on it"),
        (("    prior_sd: 0.11\n", ""), "datasets.cifar10: 'prior_sd' is a dependency of 'n'"),
    ],
)
def test_a_file_that_does_not_fit(change: tuple[str, str], told: str, tmp_path: Path, paper_plan: Plan) -> None:
    root = copy_of_the_project(tmp_path, change)
    with pytest.raises(UserError) as error:
        read_reported(paper_plan.experiment("table1"), root)
    assert told in str(error.value) and "table1.yaml" in str(error.value)


def test_a_number_that_the_paper_does_not_give(tmp_path: Path, paper_plan: Plan) -> None:
    root = copy_of_the_project(tmp_path, ("cifar10: 4.00", "cifar10: null"))
    table = read_reported(paper_plan.experiment("table1"), root)
    assert table.number("WRN 28-10", "cifar10") is None
    number = table.number("WRN 28-10", "cifar100")
    assert number is not None and number.value == 19.25


def test_no_file(tmp_path: Path, paper_plan: Plan) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_reported(paper_plan.experiment("table1"), tmp_path)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A project with the table of one's own that config/README.md shows."""
    shutil.copytree(project_root() / "config", tmp_path / "config")
    shutil.copytree(project_root() / "reports/paper", tmp_path / "reports/paper")
    text = (project_root() / "config/README.md").read_text()
    shown = re.findall(r"```yaml\n# (\S+/mine\.yaml)[^\n]*\n(.*?)```", text, re.S)
    assert [name for name, _ in shown] == ["config/experiments/mine.yaml", "reports/paper/mine.yaml"]
    for name, content in shown:
        (tmp_path / name).write_text(content)
    return tmp_path


def test_a_table_of_one_s_own_is_written_as_the_page_shows(mine: Path) -> None:
    plan = load_plan("paper", ["mine"], mine)
    require_reported(plan, mine)
    assert len(plan.runs) == 10 and read_reported(plan.experiment("mine"), mine).number("two", "cifar10") is None


def test_one_without_the_paper_s_side_is_refused_before_any_run(mine: Path) -> None:
    (mine / "reports/paper/mine.yaml").unlink()
    with pytest.raises(UserError, match=r"reports/paper/mine\.yaml: is missing, and experiment 'mine' holds its runs"):
        require_reported(load_plan("paper", ["mine", "table1"], mine), mine)


def test_a_row_that_the_paper_s_side_lacks_is_refused_before_any_run(mine: Path) -> None:
    file = mine / "reports/paper/mine.yaml"
    file.write_text(file.read_text().replace("label: four", "label: five"))
    with pytest.raises(UserError, match=r"reports/paper/mine\.yaml: .*four"):
        require_reported(load_plan("paper", ["mine"], mine), mine)


def test_a_figure_that_takes_numbers_from_a_file_that_is_gone_is_refused(mine: Path) -> None:
    (mine / "reports/paper/table1.yaml").unlink()
    with pytest.raises(UserError, match=r"reports/paper/table1\.yaml: is missing, and experiment 'figure3'"):
        require_reported(load_plan("paper", ["figure3"], mine), mine)


@pytest.mark.parametrize("scale", ["quick", "compact", "paper"])
def test_every_experiment_has_the_paper_s_side(scale: str) -> None:
    require_reported(load_plan(scale))
