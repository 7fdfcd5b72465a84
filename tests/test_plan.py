"""Plans: experiments x scale -> runs, and what is said to files that cannot be."""

import shutil
from pathlib import Path

import pytest
import yaml

from softshare.errors import UserError
from softshare.plan import Run, Setting, load_plan, load_scale

ROOT = Path(__file__).parent.parent


@pytest.fixture
def project(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    load_scale.cache_clear()
    return tmp_path


def edit(file, change):
    content = yaml.safe_load(file.read_text())
    change(content)
    file.write_text(yaml.safe_dump(content))


def test_a_run_is_made_once_however_many_show_it():
    plan = load_plan("paper")
    run = Run(Setting("cifar10", "swrn-28-10", "cifar"), 0)
    assert plan.runs.count(run) == 1 and plan.needed_by(run) == ["appendix-b", "lsm", "table1"]
    assert run.folder.as_posix() == "cifar10/swrn-28-10/cifar/seed0"


def test_the_paper_s_scale_changes_nothing():
    plan = load_plan("paper")
    cells = [cell for experiment in plan.experiments for cell in experiment.cells]
    assert plan.scale.is_paper and all(cell.run == cell.paper for cell in cells)


def test_a_smaller_scale_says_what_stands_for_what():
    cell = load_plan("quick").experiment("table1").cell("SWRN 28-10-1", "cifar10")
    assert cell.run == Setting("digits", "swrn-22-1-1", "cifar") and cell.paper.model == "swrn-28-10-1"
    assert load_plan("quick").experiment("table1").cell("SWRN 28-10-1", "cifar100").runs == ()


@pytest.mark.parametrize(("scale", "shown"), [("paper", [0, 1, 2, 3, 4]), ("compact", [0, 1, 2]), ("quick", [0, 1])])
def test_a_scale_says_how_many_seeds_an_experiment_shows(scale, shown):
    cells = load_plan(scale).experiment("appendix-b").cells
    assert len(cells) == 5 and all([run.seed for run in cell.runs] == shown for cell in cells)
    assert len(load_plan(scale).experiment("lsm").cells[0].runs) == 1  # the experiment's own limit, at every scale


def test_the_smaller_of_two_limits_counts(project):
    edit(project / "config/scales/quick.yaml", lambda c: c.update(seeds=[7, 5, 3], seeds_of={"table1": 2, "lsm": 3}))
    plan = load_plan("quick", root=project)
    assert [run.seed for run in plan.experiment("table1").cells[0].runs] == [7, 5]
    assert [run.seed for run in plan.experiment("lsm").cells[0].runs] == [7]


BAD = {
    "unknown key": ("scales/quick.yaml", lambda c: c.update(sead=[1]), ["quick.yaml: sead", "did you mean 'seeds'"]),
    "a seed twice": ("scales/quick.yaml", lambda c: c.update(seeds=[1, 1]), ["quick.yaml: seeds"]),
    "a negative seed": ("scales/quick.yaml", lambda c: c.update(seeds=[-1]), ["quick.yaml: seeds.0", "from 0"]),
    "a model of no name": (
        "scales/quick.yaml",
        lambda c: c["models"].update({"wrn-28-10": "wrn-21-1"}),
        ["quick.yaml: models", "'wrn-21-1'", "6n + 4"],
    ),
    "a dataset of no name": (
        "scales/quick.yaml",
        lambda c: c.update(datasets={"cifar10": "digit"}),
        ["quick.yaml: datasets", "'digit'", "did you mean 'digits'"],
    ),
    "epochs of no number": (
        "scales/quick.yaml",
        lambda c: c.update(training={"epochs": "many"}),
        ["quick.yaml: training.epochs", "'many'"],
    ),
    "a recipe of no name": (
        "experiments/table1.yaml",
        lambda c: c["rows"][1].update(recipe="cifar-dropot"),
        ["table1.yaml: rows.1.recipe", "'cifar-dropot'", "did you mean 'cifar-dropout'"],
    ),
    "a misspelt row": (
        "experiments/table1.yaml",
        lambda c: c["rows"][0].update(modell="x"),
        ["table1.yaml: rows.0.modell", "did you mean 'model'"],
    ),
    "a comparison with no row": (
        "experiments/appendix-b.yaml",
        lambda c: c.update(compare_with="ortogonal"),
        ["appendix-b.yaml: compare_with", "'ortogonal': no row has this label", "did you mean 'orthogonal'"],
    ),
    "a comparison in a figure": (
        "experiments/lsm.yaml",
        lambda c: c.update(compare_with="SWRN 28-10"),
        ["lsm.yaml: kind", "expected: a table"],
    ),
    "seeds of no experiment": (
        "scales/quick.yaml",
        lambda c: c.update(seeds_of={"appendix": 1}),
        ["quick.yaml: seeds_of.appendix", "unknown experiment; did you mean 'appendix-b'"],
    ),
    "more seeds than there are": (
        "scales/quick.yaml",
        lambda c: c.update(seeds_of={"table1": 4}),
        ["quick.yaml: seeds_of.table1: 4: is more than the 3 seeds of this scale"],
    ),
    "no seeds of an experiment": (
        "scales/quick.yaml",
        lambda c: c.update(seeds_of={"table1": 0}),
        ["quick.yaml: seeds_of.table1", "a whole number from 1"],
    ),
    "a missing key": ("experiments/table1.yaml", lambda c: c.pop("kind"), ["table1.yaml", "'kind' is missing"]),
}


@pytest.mark.parametrize("case", BAD)
def test_files_that_cannot_be(case, project):
    name, change, said = BAD[case]
    edit(project / "config" / name, change)
    with pytest.raises(UserError) as caught:
        load_plan("quick", root=project)
    assert all(part in str(caught.value) for part in said), str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_yaml(project):
    (project / "config/scales/quick.yaml").write_text("seeds: [1, 2\nname: x: y")
    with pytest.raises(UserError, match=r"quick\.yaml: is not YAML"):
        load_plan("quick", root=project)


def test_every_key_of_the_configuration_is_told_in_its_readme():
    text = (ROOT / "config/README.md").read_text()
    schemas = ROOT / "workflow/schemas"
    for name in ("config", "scale", "experiment", "recipe", "settings"):
        for key in yaml.safe_load((schemas / f"{name}.schema.yaml").read_text())["properties"]:
            assert f"`{key}`" in text, (name, key)
