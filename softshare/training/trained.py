"""A complete run, read back: its network with the final weights, its data, and what its folder says of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from softshare.data.images import load_images
from softshare.data.loaders import Loader
from softshare.data.orders import generator
from softshare.data.photograph_loader import default_workers
from softshare.data.photograph_sets import load_photographs
from softshare.errors import UserError
from softshare.files import read_json
from softshare.models import create_model
from softshare.models.weights import load_weights
from softshare.names import PHOTOGRAPHS, SHORTEST_PATHS
from softshare.runfiles import MANIFEST, METRICS, WEIGHTS
from softshare.training.loading import Images, count_of, make_statistics_loader, make_test_loader
from softshare.training.photograph_recipe import PhotographRecipe
from softshare.training.recipe import Classification, Recipe


@dataclass(frozen=True)
class Trained:
    """A complete run.

    Attributes:
        model: The network in channels_last on its device.
        images: The dataset that it was trained on.
        metrics: Its `metrics.json`.
        manifest: Its `manifest.json`.
        recipe: How it was trained.
        device: Where the network lies.
    """

    model: nn.Module
    images: Images
    metrics: dict[str, Any]
    manifest: dict[str, Any]
    recipe: Classification
    device: torch.device

    @property
    def model_settings(self) -> dict[str, Any]:
        """What `create_model` was given besides the network's name."""
        return {"num_classes": len(self.images.classes), **self.recipe.model_settings}

    @property
    def test_count(self) -> int:
        """Test images."""
        return count_of(self.images, "test")

    @property
    def training_count(self) -> int:
        """Training images, those held out among them."""
        return count_of(self.images, "train")

    def test_loader(self) -> Loader:
        """The test images, in order."""
        return make_test_loader(self.recipe, self.images, self.device, default_workers())

    def training_loader(self, count: int) -> Loader:
        """`count` training images drawn at random, always the same, in batches and augmented as the recipe says."""
        # At random: a set read from class folders lies sorted by class.
        drawn = torch.randperm(self.training_count, generator=generator(0, 0, "statistics"))[:count]
        return make_statistics_loader(self.recipe, self.images, drawn, self.device, default_workers())


def load_trained(run: Path, data: Path | None, cache: Path | None, device: torch.device) -> Trained:
    """Reads a complete run and its dataset.

    Raises:
        UserError: The folder holds no complete run, a file that lacks a key, the weights of another model, or the
            dataset is another one than it was trained on.
    """
    if not run.is_dir():
        raise UserError("no such folder", file=run)
    metrics = _with_keys(run / METRICS, {"dataset", "model", "recipe", "seed"})
    for key in ("dataset", "model"):
        if not isinstance(metrics[key], str):
            raise UserError(f"names no {key}", file=run / METRICS, key=key, value=metrics[key])
    if metrics["dataset"] == SHORTEST_PATHS:
        raise UserError("was trained on no images", file=run, remedy="its scores stand in its metrics.json")
    manifest = _with_keys(run / MANIFEST, {"dataset", "settings"})
    of_recipe = PhotographRecipe if metrics["dataset"] in PHOTOGRAPHS else Recipe
    fields = {field.name for field in dataclasses.fields(of_recipe)}
    for key, needed in (("dataset", {"fingerprint"}), ("settings", fields)):
        _require_keys(manifest[key], needed, run / MANIFEST, key)
    name, dataset, trained_on = metrics["model"], metrics["dataset"], str(manifest["dataset"]["fingerprint"])
    settings = {key: manifest["settings"][key] for key in fields}
    recipe = of_recipe.from_settings(settings, f"{run / MANIFEST}: settings")
    if isinstance(recipe, PhotographRecipe):
        kept: dict[str, Any] = {"limit": recipe.limit, "allow_damaged": recipe.allow_damaged}
        images: Images = load_photographs(dataset, data, cache=cache, workers=default_workers(), **kept)
    else:
        images = load_images(dataset, data, cache=cache)
    if images.fingerprint != trained_on:
        raise UserError(
            "is not the data that the run was trained on", file=data or dataset, key="fingerprint",
            value=images.fingerprint[:12], remedy=f"the run's manifest tells {trained_on[:12]}",
        )  # fmt: skip
    fresh = create_model(name, len(images.classes), **recipe.model_settings)
    model = load_weights(fresh, run / WEIGHTS)
    model.to(device).to(memory_format=torch.channels_last)
    return Trained(model, images, metrics, manifest, recipe, device)


def _with_keys(file: Path, keys: set[str]) -> dict[str, Any]:
    content = read_json(file)
    _require_keys(content, keys, file, None)
    return content


def _require_keys(content: Any, keys: set[str], file: Path, key: str | None) -> None:
    missing = sorted(keys - set(content)) if isinstance(content, dict) else sorted(keys)
    if missing:
        raise UserError(f"the key {missing[0]!r} is missing", file=file, key=key, remedy="is it the folder of a run?")
