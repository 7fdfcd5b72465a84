"""Plans: experiments x scale -> runs, and what is said to files that cannot be."""

import shutil
from pathlib import Path

import pytest
import yaml

from softshare.errors import UserError
from softshare.plan import load_plan
from softshare.scales import Run, Setting, load_scale

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


def shown_by(plan, run):
    return [experiment.name for experiment in plan.experiments if run in experiment.runs]


def test_a_run_is_made_once_however_many_show_it():
    plan = load_plan("paper")
    run = Run(Setting("cifar10", "swrn-28-10", "cifar"), 0)
    assert plan.runs.count(run) == 1 and shown_by(plan, run) == ["table1", "figure3", "appendix-b"]
    assert run.folder.as_posix() == "cifar10/swrn-28-10/cifar/seed0"
    starred = Run(Setting("cifar100", "swrn-28-10", "cifar-dropout"), 4)
    assert plan.runs.count(starred) == 1 and shown_by(plan, starred) == ["table1", "table2", "figure3"]
    wide = Run(Setting("cifar10", "swrn-40-8-8", "cifar"), 0)
    assert plan.runs.count(wide) == 1 and shown_by(plan, wide) == ["figure6", "figure7", "figure8"]


# By experiment, in this order: its runs, and those that none before it has.
COUNTS = {
    "paper": {
        "table1": (50, 50),
        "table2": (60, 50),
        "table3": (6, 6),
        "table4": (44, 44),
        "figure3": (112, 12),
        "figure4": (5, 5),
        "figure6": (5, 5),
        "figure7": (5, 0),
        "figure8": (1, 0),
        "appendix-b": (25, 20),
    },
    "compact": {
        "table1": (15, 15),
        "table2": (6, 3),
        "table3": (0, 0),
        "table4": (3, 3),
        "figure3": (18, 0),
        "figure4": (3, 3),
        "figure6": (3, 3),
        "figure7": (3, 0),
        "figure8": (1, 0),
        "appendix-b": (5, 4),
    },
    "quick": {
        "table1": (10, 10),
        "table2": (4, 2),
        "table3": (0, 0),
        "table4": (6, 6),
        "figure3": (14, 2),
        "figure4": (1, 1),
        "figure6": (2, 2),
        "figure7": (2, 0),
        "figure8": (1, 0),
        "appendix-b": (10, 8),
    },
}


@pytest.mark.parametrize("scale", COUNTS)
def test_how_many_runs_each_experiment_shows_and_adds(scale):
    plan = load_plan(scale, list(COUNTS[scale]))
    seen, found = set(), {}
    for experiment in plan.experiments:
        runs = set(experiment.runs)
        found[experiment.name] = (len(runs), len(runs - seen))
        seen |= runs
    assert found == COUNTS[scale] and len(plan.runs) == sum(new for _, new in found.values())


def test_a_plain_call_builds_every_table_and_figure():
    wanted = yaml.safe_load((ROOT / "config/config.yaml").read_text())["experiments"]
    assert sorted(wanted) == sorted(path.stem for path in (ROOT / "config/experiments").glob("*.yaml"))


@pytest.mark.parametrize("scale", ["quick", "compact"])
def test_no_network_stands_in_for_two(scale):
    models = load_scale(scale).models
    assert len(set(models.values())) == len(models)
    shown = [(e.name, cell.run) for e in load_plan(scale).experiments for cell in e.cells if cell.run]
    assert len(set(shown)) == len(shown)


def test_what_is_not_in_the_paper_is_made_at_compact_alone(project):
    beside = {"full-length", "recurrence", "recurrence-similarity"}
    beside |= {f"paths-{name}" for name in ("batch-size", "statistics", "skip", "labels", "adam", "regularizer")}
    named = {scale: {e.name for e in load_plan(scale).experiments} for scale in ("quick", "compact", "paper")}
    assert named["compact"] - named["paper"] == beside and named["quick"] == named["paper"]
    assert load_plan("quick", ["recurrence"]).experiments == ()
    file = project / "config" / "experiments" / "recurrence.yaml"
    edit(file, lambda content: content.update(scales=["compakt"]))
    with pytest.raises(UserError, match="scales: 'compakt': unknown scale; did you mean 'compact'"):
        load_plan("compact", ["recurrence"], project)


def test_a_row_is_run_at_the_scales_that_it_names_and_shown_as_not_run_at_others(project):
    file = project / "config" / "experiments" / "table1.yaml"
    edit(file, lambda content: content["rows"][1].update(scales=["paper"]))
    cells = {scale: load_plan(scale, ["table1"], project).experiments[0].cells for scale in ("quick", "paper")}
    assert [cell.row for cell in cells["quick"]] == [cell.row for cell in cells["paper"]]
    assert {cell.row for cell in cells["quick"] if cell.paper.dataset == "cifar10" and not cell.runs} == {"WRN 28-10*"}
    assert all(cell.runs for cell in cells["paper"])
    edit(file, lambda content: content["rows"][1].update(scales=["papier"]))
    with pytest.raises(UserError, match=r"rows\.1\.scales: 'papier': unknown scale; did you mean 'paper'"):
        load_plan("paper", ["table1"], project)


def test_imagenet_is_run_at_the_paper_s_scale_alone():
    plan = load_plan("paper")
    assert {str(run) for run in plan.runs if run.setting.dataset == "imagenet"} == {
        f"imagenet/{model}/imagenet/seed{seed}" for model in ("wrn-50-2", "swrn-50-2") for seed in range(3)
    }
    cell = plan.experiment("table3").cell("SWRN 50-2", "imagenet")
    assert cell.run == cell.paper and len(cell.runs) == 3
    for scale in ("quick", "compact"):
        assert "imagenet" not in load_plan(scale).datasets and load_plan(scale).experiment("table3").runs == []


def test_a_task_of_its_own_has_threads_and_times_of_its_own():
    scale = load_plan("paper").scale
    assert scale.task_of("imagenet") is scale.photographs and scale.task_of("cifar10") is scale
    assert scale.photographs.minutes_per_run > scale.minutes_per_run and scale.photographs.threads == 16
    assert scale.photographs.seeds == scale.seeds != scale.shortest_paths.seeds
    quick = load_plan("quick").scale
    assert quick.photographs.threads == quick.threads  # where a file is silent, the scale's own


def test_a_quoted_row_has_a_place_and_no_runs():
    experiment = load_plan("paper").experiment("table2")
    assert experiment.quoted == ["ResNeXt-29 16x64", "DenseNet 100-24", "DenseNet 190-40"]
    assert experiment.rows[:4] == (*experiment.quoted, "SWRN 28-10*")
    assert not {cell.row for cell in experiment.cells} & set(experiment.quoted)


def test_a_row_may_show_fewer_seeds_than_its_experiment(project):
    plan = load_plan("paper")
    seeds = {cell.row: len(cell.runs) for cell in plan.experiment("table4").cells}
    assert seeds.pop("WRN 28-10") == 5 and seeds.pop("SWRN 28-10, no dropout") == 3
    edit(project / "config/scales/paper.yaml", lambda c: c.update(seeds_of={"table4": 2}))
    cells = load_plan("paper", root=project).experiment("table4").cells
    assert {len(cell.runs) for cell in cells} == {2}


def test_the_paper_s_scale_changes_nothing():
    plan = load_plan("paper")
    cells = [cell for experiment in plan.experiments for cell in experiment.cells]
    assert plan.scale.is_paper and all(cell.run == cell.paper for cell in cells)


def test_a_smaller_scale_says_what_stands_for_what():
    cell = load_plan("quick").experiment("table1").cell("SWRN 28-10-1", "cifar10")
    assert cell.run == Setting("digits", "swrn-22-1-1", "cifar") and cell.paper.model == "swrn-28-10-1"
    assert load_plan("quick").experiment("table1").cell("SWRN 28-10-1", "cifar100").runs == ()


@pytest.mark.parametrize(("scale", "shown"), [("paper", [0, 1, 2, 3, 4]), ("compact", [0]), ("quick", [0, 1])])
def test_a_scale_says_how_many_seeds_an_experiment_shows(scale, shown):
    cells = load_plan(scale).experiment("appendix-b").cells
    assert len(cells) == 5 and all([run.seed for run in cell.runs] == shown for cell in cells)
    assert len(load_plan(scale).experiment("figure8").cells[0].runs) == 1  # the experiment's own limit, at every scale


def test_the_smaller_of_two_limits_counts(project):
    edit(
        project / "config/scales/quick.yaml", lambda c: c.update(seeds=[7, 5, 3], seeds_of={"table1": 2, "figure8": 3})
    )
    plan = load_plan("quick", root=project)
    assert [run.seed for run in plan.experiment("table1").cells[0].runs] == [7, 5]
    assert [run.seed for run in plan.experiment("figure8").cells[0].runs] == [7]


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
        ["appendix-b.yaml: compare_with", "'ortogonal': no row that is run has it", "did you mean 'orthogonal'"],
    ),
    "a comparison in a figure": (
        "experiments/figure8.yaml",
        lambda c: c.update(compare_with="SWRN 40-8-8"),
        ["figure8.yaml: kind", "expected: a table"],
    ),
    "a comparison with a quoted row": (
        "experiments/table4.yaml",
        lambda c: c.update(compare_with="DARTS"),
        ["table4.yaml: compare_with", "'DARTS': no row that is run has it"],
    ),
    "a quoted row that is run": (
        "experiments/table2.yaml",
        lambda c: c["rows"][0].update(model="wrn-28-10", recipe="cifar"),
        ["table2.yaml: rows.0", "a quoted row is not run"],
    ),
    "a row that is neither": (
        "experiments/table2.yaml",
        lambda c: c["rows"][0].pop("quoted"),
        ["table2.yaml: rows.0", "'model' is missing"],
    ),
    "quoted: no": (
        "experiments/table2.yaml",
        lambda c: c["rows"][0].update(quoted=False),
        ["table2.yaml: rows.0.quoted", "True was expected"],
    ),
    "a row twice": (
        "experiments/table2.yaml",
        lambda c: c["rows"][4].update(label="SWRN 28-10*"),
        ["table2.yaml: rows.4.label: 'SWRN 28-10*': appears twice"],
    ),
    "epochs beyond the last": (
        "experiments/figure8.yaml",
        lambda c: c.update(shown_at=[0.5, 1.5]),
        ["figure8.yaml: shown_at.1", "a fraction of all epochs"],
    ),
    "epochs of a table": (
        "experiments/table1.yaml",
        lambda c: c.update(shown_at=[1.0]),
        ["table1.yaml: kind", "similarity if epochs are chosen"],
    ),
    "numbers for a folding": (
        "experiments/figure4.yaml",
        lambda c: c.update(numbers_from=["table1"]),
        ["figure4.yaml: kind", "parameters if numbers are taken from tables"],
    ),
    "a kind of no name": (
        "experiments/figure6.yaml",
        lambda c: c.update(kind="foldings"),
        ["figure6.yaml: kind: 'foldings': unknown value; did you mean 'folding'"],
    ),
    "a dataset of no experiment": (
        "experiments/table3.yaml",
        lambda c: c.update(datasets=["imagnet"]),
        ["table3.yaml: datasets", "'imagnet'", "did you mean 'imagenet'"],
    ),
    "training of no recipe": (
        "scales/quick.yaml",
        lambda c: c.update(training_of={"cifar-cutot": {"cutout": 4}}),
        ["quick.yaml: training_of.cifar-cutot", "unknown recipe; did you mean 'cifar-cutout'"],
    ),
    "windows that leave its grid": (
        "scales/quick.yaml",
        lambda c: c["shortest_paths"].update(training={"side": 16}),
        ["quick.yaml with recipe paths: windows: 17: is larger than side: 16; give windows of at most 16"],
    ),
    "phases out of order": (
        "scales/quick.yaml",
        lambda c: c["shortest_paths"].update(training={"windows": [9, 5]}),
        ["quick.yaml with recipe paths: windows: [9, 5]: phases out of order"],
    ),
    "momentum without itself": (
        "scales/quick.yaml",
        lambda c: c.update(training={"momentum": 0}),
        ["quick.yaml with recipe cifar: nesterov: True: needs a momentum above 0"],
    ),
    "a setting of images for one recipe of paths": (
        "scales/quick.yaml",
        lambda c: c.update(training_of={"paths": {"dropout": 0.1}}),
        ["quick.yaml: training_of.paths: dropout: 0.1: unknown key"],
    ),
    "a misspelt setting of one recipe": (
        "scales/quick.yaml",
        lambda c: c.update(training_of={"cifar-cutout": {"cutot": 4}}),
        ["quick.yaml: training_of.cifar-cutout.cutot: 4: unknown key; did you mean 'cutout'"],
    ),
    "seeds of no experiment": (
        "scales/quick.yaml",
        lambda c: c.update(seeds_of={"appendix": 1}),
        ["quick.yaml: seeds_of.appendix", "unknown experiment; did you mean 'appendix-b'"],
    ),
    "more seeds than there are": (
        "scales/quick.yaml",
        lambda c: c.update(seeds_of={"table1": 4}),
        ["quick.yaml: seeds_of.table1: 4: is more than the 2 seeds of this scale"],
    ),
    "no seeds of an experiment": (
        "scales/quick.yaml",
        lambda c: c.update(seeds_of={"table1": 0}),
        ["quick.yaml: seeds_of.table1", "a whole number from 1"],
    ),
    "a recipe of another task": (
        "experiments/table1.yaml",
        lambda c: c["rows"][1].update(recipe="paths"),
        ["table1.yaml: rows.1.recipe: recipe: 'paths': is of task shortest-paths", "needs one of task images"],
    ),
    "nothing shared to be made alike": (
        "experiments/table1.yaml",
        lambda c: c["rows"][0].update(recipe="cifar-recurrent-0.1"),
        ["table1.yaml: rows.0.model: recurrence: 0.1: there are no shared layers to make alike; not wrn-"],
    ),
    "an identity that does not fit": (
        "experiments/table1.yaml",
        lambda c: c["rows"][4].update(recipe="cifar-identity"),
        ["table1.yaml: rows.4.model: coefficients: 'identity': needs one template per layer; not swrn-"],
    ),
    "a missing key": ("experiments/table1.yaml", lambda c: c.pop("kind"), ["table1.yaml", "'kind' is missing"]),
}


@pytest.mark.attack("bad input: scales, experiments, recipes, claims, run folders, data")
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
