"""A complete run, read back: its network with the final weights, its data, and what its folder says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from softshare.data.augment import Augmentation
from softshare.data.images import ImageSet, load_images
from softshare.data.loaders import TensorLoader
from softshare.data.seeding import epoch_seed
from softshare.errors import UserError
from softshare.files import read_json
from softshare.models import create_model
from softshare.names import SHORTEST_PATHS
from softshare.training.evaluation import load_weights


@dataclass(frozen=True)
class Trained:
    """A complete run.

    Attributes:
        model: The network in channels_last on its device.
        images: The dataset that it was trained on.
        metrics: Its `metrics.json`.
        manifest: Its `manifest.json`.
        device: Where the network lies.
    """

    model: nn.Module
    images: ImageSet
    metrics: dict[str, Any]
    manifest: dict[str, Any]
    device: torch.device

    @property
    def model_settings(self) -> dict[str, Any]:
        """What `create_model` was given besides the network's name."""
        return {"num_classes": len(self.images.classes), "dropout": self.manifest["settings"]["dropout"]}

    def test_loader(self) -> TensorLoader:
        """The test images, in order."""
        return self._loader(self.images.test_images, self.images.test_labels, 500)

    def training_loader(self, count: int) -> TensorLoader:
        """`count` training images drawn at random, always the same, in batches and augmented as the recipe says."""
        settings = self.manifest["settings"]
        augmentation = Augmentation(self.images.flip, self.images.pad, settings["padding"], settings["cutout"])
        # At random: a set read from class folders lies sorted by class.
        generator = torch.Generator().manual_seed(epoch_seed(0, 0, "statistics"))
        drawn = torch.randperm(len(self.images.train_labels), generator=generator)[:count]
        images, labels = self.images.train_images[drawn], self.images.train_labels[drawn]
        return self._loader(images, labels, settings["batch_size"], augmentation)

    def _loader(
        self, images: torch.Tensor, labels: torch.Tensor, batch_size: int, augmentation: Augmentation | None = None
    ) -> TensorLoader:
        return TensorLoader(
            images,
            labels,
            batch_size=batch_size,
            mean=self.images.mean,
            std=self.images.std,
            augmentation=augmentation,
            device=self.device,
            channels_last=True,
        )


def load_trained(run: Path, data: Path | None, cache: Path | None, device: torch.device) -> Trained:
    """Reads a complete run and its dataset.

    Raises:
        UserError: The folder holds no complete run, a file that lacks a key, the weights of another model, or the
            dataset is another one than it was trained on.
    """
    if not run.is_dir():
        raise UserError("no such folder", file=run)
    metrics = _with_keys(run / "metrics.json", {"dataset", "model", "recipe", "seed"})
    if metrics["dataset"] == SHORTEST_PATHS:
        raise UserError("was trained on no images", file=run, remedy="its scores stand in its metrics.json")
    manifest = _with_keys(run / "manifest.json", {"dataset", "settings"})
    for key, needed in (("dataset", {"fingerprint"}), ("settings", {"padding", "cutout", "batch_size", "dropout"})):
        _require_keys(manifest[key], needed, run / "manifest.json", key)
    name, dataset = metrics["model"], metrics["dataset"]
    trained_on, dropout = manifest["dataset"]["fingerprint"], manifest["settings"]["dropout"]
    images = load_images(dataset, data, cache=cache)
    if images.fingerprint != trained_on:
        raise UserError(
            "is not the data that the run was trained on", file=data or dataset, key="fingerprint",
            value=images.fingerprint[:12], remedy=f"the run's manifest tells {trained_on[:12]}",
        )  # fmt: skip
    model = load_weights(create_model(name, len(images.classes), dropout), run / "model.safetensors")
    model.to(device).to(memory_format=torch.channels_last)
    return Trained(model, images, metrics, manifest, device)


def _with_keys(file: Path, keys: set[str]) -> dict[str, Any]:
    content = read_json(file)
    _require_keys(content, keys, file, None)
    return content


def _require_keys(content: Any, keys: set[str], file: Path, key: str | None) -> None:
    missing = sorted(keys - set(content)) if isinstance(content, dict) else sorted(keys)
    if missing:
        raise UserError(f"the key {missing[0]!r} is missing", file=file, key=key, remedy="is it the folder of a run?")
