"""Recipes for photographs: they round-trip, and what cannot be is refused in one line."""

import pytest

from softshare.data.photograph_augment import PhotographAugmentation
from softshare.errors import UserError
from softshare.recipes import load_recipe
from softshare.schemas import check
from softshare.training.photograph_recipe import PhotographRecipe

PAPER = load_recipe("imagenet")


def test_the_paper_s_recipe():
    recipe = PhotographRecipe.from_settings(PAPER)
    assert recipe.settings() == PAPER
    assert recipe.augmentation == PhotographAugmentation(ratio=(0.75, 1.3333333333))
    rates = [recipe.learning_rate_at(epoch) for epoch in (0, 29, 30, 59, 60, 89)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    assert recipe.similarity_epochs == [1, 5, 10, 30, 60, 90] and recipe.model_settings == {}


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"resize": 200}, "recipe mine: resize: 200: is smaller than the crop; at least the crop's 224"),
        ({"crop_area": [1.0, 0.5]}, "crop_area: .*the least comes first"),
        ({"crop_ratio": [0.5]}, "crop_ratio"),
        ({"crop": 0}, "crop: .*pixels from 8"),
        ({"interpolation": "nearest"}, "interpolation: 'nearest': unknown value"),
        ({"brightness": 2}, "brightness"),
        ({"limit": -1}, "limit"),
        ({"allow_damaged": 1}, "allow_damaged"),
        ({"cutout": 16}, "cutout: 16: unknown key"),
        ({"dropout": 0.3}, "dropout: 0.3: unknown key"),
        ({"momentum": 0.0}, "nesterov: True: needs a momentum"),
    ],
)
def test_what_cannot_be_is_refused(change, wanted):
    with pytest.raises(UserError, match=wanted):
        PhotographRecipe.from_settings(PAPER | change, "recipe mine")


def test_a_missing_setting_is_named(tmp_path):
    with pytest.raises(UserError, match="the key 'lighting' is missing"):
        PhotographRecipe.from_settings({key: value for key, value in PAPER.items() if key != "lighting"})
    raw = {"task": "photographs", "source": "a", "cost": "b", "expected": "c", "settings": {"epochs": 1}}
    with pytest.raises(UserError, match="is missing"):
        check(raw, "recipe", "mine.yaml")
    check({"extends": "imagenet", "task": "photographs", "settings": {"limit": 5}}, "recipe", "mine.yaml")
