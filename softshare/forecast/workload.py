"""What a run computes: its network, its steps and what it evaluates, from its recipe at a scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from softshare.data.catalogue import FACTS
from softshare.names import DATASETS, SHORTEST_PATHS
from softshare.recipes import load_recipe
from softshare.scales import Scale, Setting

# Channels of a query: its points and its obstacles (section 4.4).
_PATH_CHANNELS = 2


@dataclass(frozen=True)
class ImageCounts:
    """How many images a dataset has, how large and of how many classes."""

    train: int
    test: int
    side: int
    classes: int


# What no catalogue tells: the digits of scikit-learn, and ILSVRC 2012 as its authors count it, in crops of 224.
_OTHERS = {"digits": ImageCounts(1437, 360, 8, 10), "imagenet": ImageCounts(1_281_167, 50_000, 224, 1000)}


@dataclass(frozen=True)
class Workload:
    """What a run computes; runs that differ in their seed alone share it.

    Attributes:
        setting: Dataset, network and recipe.
        settings: Of the recipe at the scale.
        inputs: Channels, height and width of an example.
        classes: Of the network; None for one that has no classes.
        threads: CPU threads a run.
        train_examples: An epoch.
        evaluated_examples: In all epochs; that a complete run is scored once more at its end is left out, as in the
            `device_seconds` of a manifest.
        epochs: Of the whole training.
    """

    setting: Setting
    settings: tuple[tuple[str, Any], ...]
    inputs: tuple[int, int, int]
    classes: int | None
    threads: int
    train_examples: int
    evaluated_examples: int
    epochs: int

    def __getitem__(self, key: str) -> Any:
        """A setting of the recipe."""
        return dict(self.settings)[key]

    @property
    def on_paths(self) -> bool:
        """Whether it is one of section 4.4."""
        return self.setting.dataset == SHORTEST_PATHS

    @property
    def in_memory(self) -> bool:
        """Whether its examples lie in memory while it trains; photographs stay on disk."""
        return self.on_paths or self.setting.dataset in DATASETS

    @property
    def batch_size(self) -> int:
        """Examples a step."""
        return self["batch_size"]

    @property
    def steps(self) -> int:
        """Of the whole training; the last, smaller batch of an epoch is one."""
        return self.epochs * math.ceil(self.train_examples / self.batch_size)

    @property
    def train_seen(self) -> int:
        """Examples trained on, each as often as it is."""
        return self.epochs * self.train_examples


def workload(setting: Setting, scale: Scale) -> Workload:
    """What a run of a setting computes.

    Args:
        setting: As it is run at the scale.
        scale: Whose shortened training is applied.

    Raises:
        UserError: An unknown recipe.
    """
    settings = load_recipe(setting.recipe, scale)
    frozen = tuple((key, tuple(value) if isinstance(value, list) else value) for key, value in settings.items())
    if setting.dataset == SHORTEST_PATHS:
        phases = len(settings["windows"])
        epochs = phases * settings["epochs"]
        # At the end of a phase the other phases' test sets are scored too.
        evaluations = epochs + phases * (phases - 1)
        anew = settings.get("statistics_anew", 0)  # estimated on, then scored as often again
        evaluated = (2 if anew else 1) * evaluations * settings["test"] + epochs * anew
        side, threads = settings["side"], scale.shortest_paths.threads
        return Workload(
            setting, frozen, (_PATH_CHANNELS, side, side), None, threads,
            settings["train"], evaluated, epochs,
        )  # fmt: skip
    counts, epochs = image_counts(setting.dataset), settings["epochs"]
    held_out = round(counts.train * settings.get("validation", 0.0))
    return Workload(
        setting, frozen, (3, counts.side, counts.side), counts.classes, scale.task_of(setting.dataset).threads,
        counts.train - held_out, epochs * (counts.test + held_out), epochs,
    )  # fmt: skip


def image_counts(dataset: str) -> ImageCounts:
    """How many images a dataset has."""
    if dataset in _OTHERS:
        return _OTHERS[dataset]
    facts = FACTS[dataset]
    classes = len(facts.classes)
    return ImageCounts(classes * facts.train_per_class, classes * facts.test_per_class, facts.side, classes)
