"""Recipes: the paper's schedule, scaling, and settings that cannot be."""

import dataclasses

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from softshare.errors import UserError
from softshare.files import project_root
from softshare.recipes import LEFT_OUT, load_recipe
from softshare.scales import load_scale
from softshare.training.path_recipe import PathRecipe
from softshare.training.photograph_recipe import PhotographRecipe
from softshare.training.recipe import Recipe


def test_the_paper_s_schedule():
    recipe = Recipe.from_settings(load_recipe("cifar"))
    rates = [recipe.learning_rate_at(epoch) for epoch in range(200)]
    changes = [epoch for epoch in range(1, 200) if rates[epoch] != rates[epoch - 1]]
    assert changes == [60, 120, 160]
    assert [rates[epoch] for epoch in (0, 60, 120, 160)] == pytest.approx([0.1, 0.02, 0.004, 0.0008])
    assert (recipe.momentum, recipe.nesterov, recipe.batch_size, recipe.weight_decay) == (0.9, True, 128, 5e-4)
    assert recipe.similarity_epochs == [1, 2, 3, 4, *range(5, 201, 5)]


@pytest.mark.parametrize(
    ("name", "dropout", "cutout"), [("cifar", 0, 0), ("cifar-dropout", 0.3, 0), ("cifar-cutout", 0, 16)]
)
def test_recipes_differ_in_what_their_name_says(name, dropout, cutout):
    settings = load_recipe(name)
    assert (settings["dropout"], settings["cutout"]) == (dropout, cutout)
    rest = {"dropout": 0.0, "cutout": 0}
    assert settings | rest == load_recipe("cifar") | rest


@given(st.integers(1, 400))
def test_fractions_are_kept_when_epochs_change(epochs):
    recipe = Recipe.from_settings(load_recipe("cifar") | {"epochs": epochs})
    assert recipe.learning_rate_at(0) == 0.1 or epochs < 2
    assert recipe.learning_rate_at(epochs - 1) >= 0.1 * 0.2**3 * 0.999
    stored = recipe.similarity_epochs
    assert stored == sorted(set(stored)) and stored[-1] == epochs and stored[0] >= 1


def test_a_scale_shortens_and_keeps_the_rest():
    assert load_recipe("cifar", load_scale("quick")) == load_recipe("cifar") | {"epochs": 8}
    assert load_recipe("cifar", load_scale("paper")) == load_recipe("cifar")


def test_settings_round_trip():
    settings = load_recipe("cifar-cutout")
    assert Recipe.from_settings(settings).settings() == settings


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": 0}, "epochs: 0"),
        ({"epochs": 2.5}, "epochs: 2.5"),
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"padding": "mirror"}, "'mirror': unknown value"),
        ({"dropout": 1.0}, "dropout"),
        ({"drops": [0.5, 1.5]}, "drops.1"),
        ({"coefficients": "orthogonl"}, "did you mean 'orthogonal'"),
        ({"learning_rate": -1}, "learning_rate"),
        ({"momentum": 0.0}, "nesterov: True: needs a momentum"),
    ],
)
def test_settings_that_cannot_be(change, said):
    with pytest.raises(UserError, match="recipe mine") as caught:
        Recipe.from_settings(load_recipe("cifar") | change, "recipe mine")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_setting_is_named():
    settings = load_recipe("cifar")
    del settings["momentum"]
    with pytest.raises(UserError, match="'momentum' is missing"):
        Recipe.from_settings(settings)


@pytest.mark.parametrize(
    ("recipe", "tasks", "branch"),
    [
        (Recipe, {"enum": ["photographs", "shortest-paths"]}, "else"),
        (PathRecipe, {"const": "shortest-paths"}, "then"),
        (PhotographRecipe, {"const": "photographs"}, "then"),
    ],
)
def test_a_file_must_tell_every_setting_but_those_left_out(recipe, tasks, branch):
    """So that a setting that is added is asked for by the schema, too."""
    schema = yaml.safe_load((project_root() / "workflow" / "schemas" / "recipe.schema.yaml").read_text())
    (rule,) = [rule for rule in schema["allOf"] if rule["if"].get("properties", {}).get("task") == tasks]
    required = rule[branch]["else"]["properties"]["settings"]["required"]
    assert set(required) == {field.name for field in dataclasses.fields(recipe)} - LEFT_OUT.keys()
