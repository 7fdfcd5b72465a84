"""A recipe for photographs: `config/recipes/imagenet.yaml` (section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from softshare.data.photograph_augment import Interpolation, PhotographAugmentation
from softshare.errors import UserError
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

    @classmethod
    def from_settings(cls, settings: dict[str, Any], file: str = "recipe") -> Self:
        """Checks raw settings and makes them a recipe.

        Raises:
            UserError: A missing, unknown or impossible setting.
        """
        recipe = super().from_settings(settings, file)
        if recipe.resize < recipe.crop:
            remedy = f"at least the crop's {recipe.crop}"
            raise UserError("is smaller than the crop", file=file, key="resize", value=recipe.resize, remedy=remedy)
        for key in ("crop_area", "crop_ratio"):
            least, most = getattr(recipe, key)
            if least > most:
                raise UserError("the least comes first", file=file, key=key, value=[least, most])
        return recipe

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
