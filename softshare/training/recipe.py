"""A training recipe: the settings of `config/recipes/*.yaml`, and the schedules that follow from them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from softshare.clashes import refuse_clashes
from softshare.errors import UserError
from softshare.recipes import LEFT_OUT, stored_epoch
from softshare.schemas import check


@dataclass(frozen=True)
class Classification:
    """How a network is trained to tell classes apart: what recipes for images and for photographs have in common."""

    schema: ClassVar[str]

    epochs: int
    batch_size: int
    optimizer: Literal["sgd", "adam"]
    learning_rate: float
    momentum: float
    nesterov: bool
    weight_decay: float
    drops: tuple[float, ...]
    drop_factor: float
    label_smoothing: float
    recurrence: float
    coefficients: str
    validation: float
    similarity_at: tuple[float, ...]

    @classmethod
    def from_settings(cls, settings: dict[str, Any], file: str = "recipe") -> Self:
        """Checks raw settings and makes them a recipe.

        Raises:
            UserError: A missing, unknown or impossible setting.
        """
        check_complete(settings, cls.schema, cls, file)
        refuse_clashes(settings, file)
        return cls(**with_tuples(settings))

    def settings(self) -> dict[str, Any]:
        """The recipe as plain values, as JSON and YAML hold them."""
        return with_lists(dataclasses.asdict(self))

    @property
    def model_settings(self) -> dict[str, Any]:
        """What `create_model` is given besides name, classes and coefficients."""
        return {}

    @property
    def all_epochs(self) -> int:
        """Epochs of the whole training."""
        return self.epochs

    def learning_rate_at(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0: a drop takes effect at the start of its epoch."""
        passed = sum(epoch >= round(drop * self.epochs) for drop in self.drops)
        return self.learning_rate * self.drop_factor**passed

    @property
    def similarity_epochs(self) -> list[int]:
        """Epochs, counted from 1, after which the layer similarity is stored; the last is always among them."""
        asked = {stored_epoch(at, self.epochs) for at in self.similarity_at}
        return sorted(asked | {self.epochs})


@dataclass(frozen=True)
class Recipe(Classification):
    """How a network is trained on small images. Every field is told beside its value in `config/recipes/cifar.yaml`."""

    schema = "settings"

    dropout: float
    cutout: int
    padding: Literal["zero", "reflect"]

    @property
    def model_settings(self) -> dict[str, Any]:
        """What `create_model` is given besides name, classes and coefficients."""
        return {"dropout": self.dropout}


def check_complete(settings: dict[str, Any], schema: str, recipe: type, file: str) -> None:
    """Checks raw settings against a schema, and that a recipe's fields are all there but for those in `LEFT_OUT`.

    Raises:
        UserError: A missing, unknown or impossible setting.
    """
    check(settings, schema, file)
    missing = [field.name for field in dataclasses.fields(recipe) if field.name not in settings | LEFT_OUT]
    if missing:
        raise UserError(f"the key {missing[0]!r} is missing", file=file)


def with_tuples(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as a frozen recipe holds them."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}


def with_lists(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON and YAML hold them."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
