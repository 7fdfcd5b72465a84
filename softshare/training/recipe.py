"""A training recipe: the settings of `config/recipes/*.yaml`, and the schedules that follow from them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from softshare.errors import UserError
from softshare.files import check


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. Every field is told beside its value in `config/recipes/cifar.yaml`."""

    epochs: int
    batch_size: int
    optimizer: Literal["sgd", "adam"]
    learning_rate: float
    momentum: float
    nesterov: bool
    weight_decay: float
    drops: tuple[float, ...]
    drop_factor: float
    dropout: float
    cutout: int
    padding: Literal["zero", "reflect"]
    label_smoothing: float
    recurrence: float
    coefficients: str
    validation: float
    similarity_at: tuple[float, ...]

    @classmethod
    def from_settings(cls, settings: dict[str, Any], file: str = "recipe") -> Recipe:
        """Checks raw settings and makes them a recipe.

        Raises:
            UserError: A missing, unknown or impossible setting.
        """
        check(settings, "settings", file)
        missing = [field.name for field in dataclasses.fields(cls) if field.name not in settings]
        if missing:
            raise UserError(f"the key {missing[0]!r} is missing", file=file)
        if settings["nesterov"] and not settings["momentum"] and settings["optimizer"] == "sgd":
            raise UserError("needs a momentum above 0", file=file, key="nesterov", value=True)
        tuples = {key: tuple(settings[key]) for key in ("drops", "similarity_at")}
        return cls(**settings | tuples)

    def settings(self) -> dict[str, Any]:
        """The recipe as plain values, as JSON and YAML hold them."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(self).items()}

    def learning_rate_at(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0: a drop takes effect at the start of its epoch."""
        passed = sum(epoch >= round(drop * self.epochs) for drop in self.drops)
        return self.learning_rate * self.drop_factor**passed

    @property
    def similarity_epochs(self) -> list[int]:
        """Epochs, counted from 1, after which the layer similarity is stored; the last is always among them."""
        asked = {min(self.epochs, max(1, round(at * self.epochs))) for at in self.similarity_at}
        return sorted(asked | {self.epochs})
