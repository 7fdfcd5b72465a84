"""Recipes: what each resolves to, what extending another means, and what is said to files that cannot be."""

import functools
import operator
import shutil
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from softshare.errors import UserError
from softshare.files import project_root
from softshare.recipes import load_recipe, name_of, stored_epoch, task_of, task_on
from softshare.scales import load_scale, names_in

ROOT = Path(__file__).parent.parent

# Section 4.1, key by key: what every recipe for CIFAR comes down to.
CIFAR = {
    "epochs": 200,
    "batch_size": 128,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 0.0005,
    "drops": [0.3, 0.6, 0.8],
    "drop_factor": 0.2,
    "dropout": 0.0,
    "cutout": 0,
    "padding": "zero",
    "label_smoothing": 0.0,
    "recurrence": 0.0,
    "coefficients": "orthogonal",
    "validation": 0.0,
    # After epochs 1 to 5 of 200, then every 5th.
    "similarity_at": [round(epoch / 200, 3) for epoch in (1, 2, 3, 4, *range(5, 201, 5))],
}
DIFFERING = {
    "cifar": {},
    "cifar-dropout": {"dropout": 0.3},
    "cifar-cutout": {"cutout": 16},
    "cifar-cutout-dropout": {"cutout": 16, "dropout": 0.3},
    "cifar-identity": {"coefficients": "identity"},
    "cifar-sparse": {"coefficients": "sparse"},
    "cifar-normal": {"coefficients": "normal"},
    "cifar-uniform": {"coefficients": "uniform"},
    "cifar-recurrent-0.001": {"recurrence": 0.001},
    "cifar-recurrent-0.01": {"recurrence": 0.01},
    "cifar-recurrent-0.1": {"recurrence": 0.1},
    "cifar-full-length": {},
}


@pytest.mark.parametrize("name", DIFFERING)
def test_what_each_recipe_comes_down_to(name):
    settings = load_recipe(name)
    assert settings == CIFAR | DIFFERING[name]
    assert {key: type(value) for key, value in settings.items()} == {
        key: type(value) for key, value in (CIFAR | DIFFERING[name]).items()
    }


def test_every_recipe_for_cifar_is_held_to_its_literal_values():
    assert {path.stem for path in (ROOT / "config/recipes").glob("cifar*.yaml")} == set(DIFFERING)


def test_a_scale_s_training_comes_last(tmp_path):
    own = write(tmp_path / "mine.yaml", {"extends": "cifar", "settings": {"epochs": 3, "cutout": 4}})
    assert load_recipe(str(own), load_scale("quick")) == CIFAR | {"epochs": 8, "cutout": 4}


def test_a_scale_may_change_a_single_recipe():
    quick = load_scale("quick")
    assert load_recipe("cifar-cutout", quick) == CIFAR | {"epochs": 8, "cutout": 4}
    assert load_recipe("cifar-dropout", quick) == CIFAR | {"epochs": 8, "dropout": 0.3}
    assert load_recipe("cifar-cutout", load_scale("compact"))["cutout"] == 16
    assert load_recipe("cifar-full-length", load_scale("compact")) == CIFAR


def test_imagenet_follows_fb_resnet_torch():
    settings = load_recipe("imagenet")
    optimiser = {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}
    colours = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "lighting": 0.1, "mirror": True}
    crops = {"crop": 224, "crop_area": [0.08, 1.0], "crop_ratio": [0.75, 1.3333333333], "resize": 256}
    wanted = optimiser | colours | crops | {"epochs": 90, "batch_size": 256, "drop_factor": 0.1, "limit": 0}
    assert {key: settings[key] for key in wanted} == wanted
    assert [round(90 * drop) for drop in settings["drops"]] == [30, 60]
    assert [round(90 * at) for at in settings["similarity_at"]] == [1, 5, 10, 30, 60, 90]
    assert task_of("imagenet") == task_on("imagenet") == task_on("folder") == "photographs" != task_on("cifar10")


def write(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content))
    return file


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "epochs": st.integers(1, 9),
        "learning_rate": st.floats(0.01, 1),
        "drops": st.lists(st.sampled_from([0.1, 0.5, 0.9]), unique=True),
        "nesterov": st.booleans(),
    },
).filter(bool)


@given(st.lists(CHANGES, min_size=1, max_size=4))
def test_the_nearer_file_wins(levels):
    with tempfile.TemporaryDirectory() as folder:
        for index, settings in enumerate(levels):
            base = "cifar" if index == 0 else f"../{index - 1}/recipe.yml"
            write(Path(folder, str(index), "recipe.yml"), {"extends": base, "settings": settings})
        found = load_recipe(str(Path(folder, str(len(levels) - 1), "recipe.yml")))
    assert found == functools.reduce(operator.or_, levels, CIFAR)


def test_a_recipe_of_one_s_own(tmp_path):
    own = tmp_path / "mine.yaml"
    content = yaml.safe_load((ROOT / "config/recipes/cifar.yaml").read_text())
    content["settings"]["learning_rate"] = 0.5
    own.write_text(yaml.safe_dump(content))
    assert load_recipe(str(own))["learning_rate"] == 0.5
    content["settings"]["lerning_rate"] = 1
    own.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"mine\.yaml: settings\.lerning_rate"):
        load_recipe(str(own))


def test_a_file_of_one_s_own_may_bear_the_name_of_what_it_extends(tmp_path):
    own = write(tmp_path / "cifar.yaml", {"extends": "cifar", "settings": {"epochs": 7}})
    assert load_recipe(str(own)) == CIFAR | {"epochs": 7}


def test_a_recipe_of_the_project_by_its_path():
    assert load_recipe(str(ROOT / "config/recipes/cifar-dropout.yaml")) == CIFAR | {"dropout": 0.3}


BAD = {
    "itself": ({"mine": {"extends": "mine.yaml", "settings": {"epochs": 1}}}, ["mine.yaml: extends: 'mine.yaml'"]),
    "a circle": (
        {
            "mine": {"extends": "a.yaml", "settings": {"epochs": 1}},
            "a": {"extends": "b.yaml", "settings": {"epochs": 1}},
            "b": {"extends": "a.yaml", "settings": {"epochs": 1}},
        },
        ["b.yaml: extends: 'a.yaml': leads back", "a.yaml -> b.yaml -> a.yaml"],
    ),
    "a base of no name": (
        {"mine": {"extends": "cifr", "settings": {"epochs": 1}}},
        ["mine.yaml: extends: 'cifr': unknown recipe; did you mean 'cifar'?"],
    ),
    "a base that is not there": (
        {"mine": {"extends": "absent.yaml", "settings": {"epochs": 1}}},
        ["mine.yaml: extends: 'absent.yaml': no such file; give a name in config/recipes"],
    ),
    "a base that is no name": (
        {"mine": {"extends": ["cifar"], "settings": {"epochs": 1}}},
        ["mine.yaml: extends", "expected: a recipe's name"],
    ),
    "a misspelt setting": (
        {"mine": {"extends": "cifar", "settings": {"epoch": 1}}},
        ["mine.yaml: settings.epoch: 1: unknown key; did you mean 'epochs'?"],
    ),
    "a misspelt setting of the base": (
        {
            "mine": {"extends": "a.yaml", "settings": {"epochs": 1}},
            "a": {"extends": "cifar", "settings": {"dropuot": 0.3}},
        },
        ["a.yaml: settings.dropuot: 0.3: unknown key; did you mean 'dropout'?"],
    ),
    "a value that cannot be": (
        {"mine": {"extends": "cifar", "settings": {"coefficients": "orthogonl"}}},
        ["mine.yaml: settings.coefficients: 'orthogonl'", "did you mean 'orthogonal'?"],
    ),
    "a misspelt key": (
        {"mine": {"extend": "cifar", "settings": {"epochs": 1}}},
        ["mine.yaml: extend: 'cifar': unknown key; did you mean 'extends'?"],
    ),
    "nothing that differs": ({"mine": {"extends": "cifar", "settings": {}}}, ["mine.yaml: settings", "that differ"]),
    "no settings": ({"mine": {"extends": "cifar"}}, ["mine.yaml: the key 'settings' is missing"]),
    "a part alone": (
        {"mine": {"source": "x", "cost": "x", "expected": "x", "settings": {"epochs": 1}}},
        ["mine.yaml: settings: the key 'batch_size' is missing"],
    ),
    "windows that leave the grid of this file": (
        {"mine": {"extends": "paths", "task": "shortest-paths", "settings": {"side": 16}}},
        ["mine.yaml: windows: 17: is larger than side: 16; give windows of at most 16, or another side"],
    ),
    "phases out of order": (
        {"mine": {"extends": "paths", "task": "shortest-paths", "settings": {"windows": [9, 5]}}},
        ["mine.yaml: windows: [9, 5]: phases out of order"],
    ),
    "momentum without itself": (
        {"mine": {"extends": "cifar", "settings": {"momentum": 0}}},
        ["mine.yaml: nesterov: True: needs a momentum above 0"],
    ),
    "a crop larger than what it is cut from": (
        {"mine": {"extends": "imagenet", "task": "photographs", "settings": {"crop": 288}}},
        ["mine.yaml: resize: 256: is smaller than the crop; at least the crop's 288"],
    ),
    "no mapping": ({"mine": "cifar"}, ["mine.yaml: 'cifar' is not of type 'object'"]),
}


@pytest.mark.attack("bad input: scales, experiments, recipes, claims, run folders, data")
@pytest.mark.parametrize("case", BAD)
def test_files_that_cannot_be(case, tmp_path):
    files, said = BAD[case]
    for name, content in files.items():
        write(tmp_path / f"{name}.yaml", content)
    with pytest.raises(UserError) as caught:
        load_recipe(str(tmp_path / "mine.yaml"))
    assert all(part in str(caught.value) for part in said), str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_circle_in_the_project_s_own_recipes(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    write(tmp_path / "config/recipes/cifar.yaml", {"extends": "cifar-dropout", "settings": {"epochs": 1}})
    with pytest.raises(UserError, match=r"cifar-dropout\.yaml: extends: 'cifar': leads back") as caught:
        load_recipe("cifar-cutout", root=tmp_path)
    assert "cifar.yaml -> cifar-dropout.yaml -> cifar.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("fraction", "epochs", "stored"),
    [(0.0, 5, 1), (0.005, 200, 1), (0.03, 10, 1), (0.27, 10, 3), (0.5, 90, 45), (0.999, 200, 200), (1.0, 1, 1)],
)
def test_the_epoch_after_a_fraction_of_the_training(fraction, epochs, stored):
    assert stored_epoch(fraction, epochs) == stored


@pytest.mark.parametrize("name", ["cifr", "../scales/quick", ""])
def test_no_such_recipe(name):
    with pytest.raises(UserError, match=r"recipe: '.*': unknown recipe; "):
        load_recipe(name)


@pytest.mark.parametrize("name", names_in(project_root() / "config" / "recipes"))
def test_a_recipe_s_name_is_recorded_whole(name, tmp_path):
    """`cifar-recurrent-0.001` holds a dot; a run that records another name is taken for another run's."""
    assert name_of(name) == name
    assert name_of(str(tmp_path / f"{name}.yaml")) == name_of(f"{name}.yml") == name
