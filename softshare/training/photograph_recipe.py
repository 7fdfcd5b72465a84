"""A recipe for photographs: `config/recipes/imagenet.yaml` (section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass

from softshare.data.photograph_augment import Interpolation, PhotographAugmentation
from softshare.training.recipe import Classification


@dataclass(frozen=True)
class PhotographRecipe(Classification):
    """How a network is trained on photographs. Every field is told in `config/recipes/imagenet.yaml`."""

    schema = "photograph-settings"

    crop: int
    crop_area: tuple[float, float]
    crop_ratio: tuple[float, float]
    interpolation: Interpolation
    mirror: bool
    brightness: float
    contrast: float
    saturation: float
    lighting: float
    resize: int
    limit: int
    allow_damaged: bool

    @property
    def augmentation(self) -> PhotographAugmentation:
        """How photographs are varied."""
        return PhotographAugmentation(
            crop=self.crop,
            area=self.crop_area,
            ratio=self.crop_ratio,
            interpolation=self.interpolation,
            mirror=self.mirror,
            brightness=self.brightness,
            contrast=self.contrast,
            saturation=self.saturation,
            lighting=self.lighting,
        )
