"""A recipe of the shortest-path task: `config/recipes/paths*.yaml`, its data and its curriculum (section 4.4)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from softshare.clashes import refuse_clashes
from softshare.data.path_examples import Paths, PathSettings
from softshare.models.path_cnn import Skip
from softshare.recipes import stored_epoch, told
from softshare.training.recipe import check_complete, with_lists, with_tuples

AdamState = Literal["carried", "fresh"]


@dataclass(frozen=True)
class PathRecipe:
    """How a network is trained through the phases. Every field is told beside its value in `config/recipes/paths.yaml`.

    Epochs are counted through all phases: `epochs` of each phase, `all_epochs` together.
    """

    side: int
    obstacles: float
    windows: tuple[int, ...]
    train: int
    test: int
    paths: Paths
    skip: Skip
    coefficients: str
    epochs: int
    batch_size: int
    learning_rate: float
    adam_state: AdamState
    positive_weight: float
    recurrence: float
    similarity_at: tuple[float, ...]
    statistics_anew: int = 0

    @classmethod
    def from_settings(cls, settings: dict[str, Any], file: str = "recipe") -> PathRecipe:
        """Checks raw settings and makes them a recipe.

        Raises:
            UserError: A missing, unknown or impossible setting, or phases out of order.
        """
        check_complete(settings, "path-settings", cls, file)
        refuse_clashes(settings, file)
        return cls(**with_tuples(settings))

    def settings(self) -> dict[str, Any]:
        """The recipe as plain values, as JSON and YAML hold them."""
        return told(with_lists(dataclasses.asdict(self)))

    @property
    def data(self) -> PathSettings:
        """What the examples are."""
        return PathSettings(self.side, self.obstacles, self.windows, self.train, self.test, self.paths)

    @property
    def phases(self) -> int:
        """Phases of the curriculum."""
        return len(self.windows)

    @property
    def all_epochs(self) -> int:
        """Epochs of the whole training."""
        return self.phases * self.epochs

    def phase_of(self, epoch: int) -> int:
        """The phase, counted from 0, of an epoch, counted from 0."""
        return epoch // self.epochs

    def begins_phase(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, is the first of a phase."""
        return epoch % self.epochs == 0

    def ends_phase(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, is the last of a phase."""
        return (epoch + 1) % self.epochs == 0

    @property
    def similarity_epochs(self) -> list[int]:
        """Epochs, counted from 1, after which the layer similarity is stored; each phase's last is among them."""
        within = {stored_epoch(at, self.epochs) for at in self.similarity_at} | {self.epochs}
        return sorted(phase * self.epochs + epoch for phase in range(self.phases) for epoch in within)
