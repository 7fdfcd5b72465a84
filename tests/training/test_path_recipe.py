"""Recipes of the shortest-path task: the paper's curriculum, what scales change, and settings that cannot be."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from softshare.errors import UserError
from softshare.recipes import load_recipe, task_of
from softshare.scales import load_scale
from softshare.training.path_recipe import PathRecipe


def paths(**settings):
    return PathRecipe.from_settings(load_recipe("paths") | settings)


def test_the_paper_s_curriculum():
    recipe = PathRecipe.from_settings(load_recipe("paths"))
    assert recipe.windows == (5, 9, 13, 17, 21) and recipe.all_epochs == 250
    assert (recipe.train, recipe.learning_rate, recipe.obstacles, recipe.side) == (5000, 0.01, 0.1, 32)
    assert [recipe.phase_of(epoch) for epoch in (0, 49, 50, 199, 200, 249)] == [0, 0, 1, 3, 4, 4]
    assert [epoch for epoch in range(250) if recipe.begins_phase(epoch)] == [0, 50, 100, 150, 200]
    assert [epoch for epoch in range(250) if recipe.ends_phase(epoch)] == [49, 99, 149, 199, 249]
    assert recipe.similarity_epochs == [5, 50, 55, 100, 105, 150, 155, 200, 205, 250]


def test_the_regularised_recipe_differs_in_the_regulariser_alone():
    assert load_recipe("paths-recurrent") == load_recipe("paths") | {"recurrence": 0.01}
    assert task_of("paths") == task_of("paths-recurrent") == "shortest-paths" and task_of("cifar") == "images"


@given(st.integers(1, 60), st.integers(1, 5), st.lists(st.floats(0.01, 1), max_size=3))
def test_phases_fill_the_epochs(epochs, phases, at):
    recipe = paths(epochs=epochs, windows=[3, 5, 7, 9, 11][:phases], similarity_at=at)
    found = [recipe.phase_of(epoch) for epoch in range(recipe.all_epochs)]
    assert found == sorted(found) and all(found.count(phase) == epochs for phase in range(phases))
    stored = recipe.similarity_epochs
    assert {phase * epochs for phase in range(1, phases + 1)} <= set(stored) <= set(range(1, recipe.all_epochs + 1))
    assert stored == sorted(set(stored))


def test_settings_round_trip():
    assert paths().settings() == load_recipe("paths")


@pytest.mark.parametrize("scale", ["quick", "compact", "paper"])
def test_a_scale_shortens_the_tasks_apart(scale):
    loaded = load_scale(scale)
    assert load_recipe("paths", loaded) == load_recipe("paths") | loaded.shortest_paths.training
    assert load_recipe("cifar", loaded) == load_recipe("cifar") | loaded.training
    recipe = PathRecipe.from_settings(load_recipe("paths", loaded))
    # By operations: an evaluation is one forward, and a step's backward takes two more.
    evaluated = recipe.test * (recipe.epochs + recipe.phases - 1)
    assert round(evaluated / (3 * recipe.train * recipe.epochs), 2) <= 0.10


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": 0}, "epochs: 0"),
        ({"train": 0}, "train: 0"),
        ({"test": 2.5}, "test: 2.5"),
        ({"windows": [5, 33]}, "recipe mine: windows: 33: is larger than side: 32; give windows of at most 32"),
        ({"windows": [9, 5]}, "recipe mine: windows: [9, 5]: phases out of order"),
        ({"windows": [4]}, "recipe mine: windows: 4: must be odd"),
        ({"windows": []}, "windows"),
        ({"obstacles": 1.0}, "obstacles"),
        ({"obstacles": -0.1}, "obstacles"),
        ({"paths": "some"}, "'some'"),
        ({"skip": "after"}, "did you mean 'after-relu'"),
        ({"adam_state": "kept"}, "adam_state"),
        ({"positive_weight": 0}, "positive_weight"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"dropout": 0.3}, "dropout: 0.3: unknown key"),
        ({"exampels": 3}, "exampels: 3: unknown key"),
    ],
)
def test_settings_that_cannot_be(change, said):
    with pytest.raises(UserError) as caught:
        PathRecipe.from_settings(load_recipe("paths") | change, "recipe mine")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_setting_is_named():
    settings = load_recipe("paths")
    del settings["adam_state"]
    with pytest.raises(UserError, match="'adam_state' is missing"):
        PathRecipe.from_settings(settings)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"extends": "paths", "settings": {"epochs": 3}}, "extends: 'paths': is a recipe of task shortest-paths"),
        ({"extends": "paths", "settings": {"train": 3}}, "settings.train: 3: unknown key"),
        (
            {"extends": "cifar", "task": "shortest-paths", "settings": {"epochs": 3}},
            "extends: 'cifar': is a recipe of task images",
        ),
        ({"extends": "paths", "task": "paths", "settings": {"epochs": 3}}, "task: 'paths': unknown value"),
        ({"extends": "paths", "task": "shortest-paths", "settings": {"dropout": 0.1}}, "settings.dropout"),
        (
            {"task": "shortest-paths", "source": "x", "cost": "x", "expected": "x", "settings": {"epochs": 1}},
            "settings: the key 'side' is missing",
        ),
    ],
)
def test_recipes_keep_to_their_task(content, said, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError) as caught:
        load_recipe(str(file))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_recipe_of_one_s_own(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("extends: paths-recurrent\ntask: shortest-paths\nsettings: {batch_size: 64}\n")
    assert load_recipe(str(file)) == load_recipe("paths") | {"recurrence": 0.01, "batch_size": 64}
