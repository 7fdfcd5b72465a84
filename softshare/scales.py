"""What a run is, and a scale: what is run in place of what, the seeds, and the shortened training."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from softshare.errors import UserError, did_you_mean
from softshare.files import project_root
from softshare.names import PHOTOGRAPHS, SHORTEST_PATHS, parse_model_name, require_dataset
from softshare.schemas import read_yaml


@dataclass(frozen=True, order=True)
class Setting:
    """A network, trained on a dataset with a recipe; seeds are not part of it."""

    dataset: str
    model: str
    recipe: str

    def __str__(self) -> str:
        return f"{self.dataset}/{self.model}/{self.recipe}"


@dataclass(frozen=True, order=True)
class Run:
    """One training: a setting and its seed."""

    setting: Setting
    seed: int

    @property
    def folder(self) -> Path:
        """Its folder below `results/<scale>/runs/`."""
        return Path(self.setting.dataset, self.setting.model, self.setting.recipe, f"seed{self.seed}")

    def __str__(self) -> str:
        return self.folder.as_posix()


@dataclass(frozen=True)
class TaskScale:
    """How much of a task of its own is run: shortest paths, or photographs.

    Attributes:
        seeds: The seeds of every run.
        threads: CPU threads a run.
        minutes_per_run: What the longest run takes.
        training: Settings of its recipes that the scale changes.
    """

    seeds: tuple[int, ...]
    threads: int
    minutes_per_run: float
    training: dict[str, Any]


@dataclass(frozen=True)
class Scale:
    """How much of the paper is run: what stands in for what, the seeds, and the shortened training.

    Attributes:
        seeds: The seeds of every run on images.
        seeds_of: How many of them an experiment shows here, where it does not show all.
        models: The paper's network: the one run in its place; None = the same.
        training: Settings of every recipe for images that this scale changes.
        training_of: Settings of single recipes that it changes besides, by their names.
        shortest_paths: What the scale says of that task.
        photographs: What it says of ImageNet and other photographs.
    """

    name: str
    description: str
    seeds: tuple[int, ...]
    datasets: dict[str, str]
    models: dict[str, str] | None
    training: dict[str, Any]
    threads: int
    minutes_per_run: float
    shortest_paths: TaskScale
    photographs: TaskScale
    seeds_of: dict[str, int] = field(default_factory=dict)
    training_of: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def is_paper(self) -> bool:
        """Whether it puts nothing in place of the paper's datasets, networks and training."""
        changed = self.training or self.training_of or self.shortest_paths.training or self.photographs.training
        return self.models is None and not changed and all(k == v for k, v in self.datasets.items())

    def seeds_on(self, dataset: str) -> tuple[int, ...]:
        """The seeds of every run on one of the paper's datasets."""
        return self.task_of(dataset).seeds

    def task_of(self, dataset: str) -> Scale | TaskScale:
        """What the scale says of a dataset's task: seeds, threads, how long a run takes, changed settings."""
        if dataset in PHOTOGRAPHS:
            return self.photographs
        return self.shortest_paths if dataset == SHORTEST_PATHS else self

    def seeds_for(self, experiment: str, dataset: str, *at_most: int | None) -> tuple[int, ...]:
        """The seeds that an experiment shows: all, or the first of them where this scale or another limit says so."""
        limits = (*at_most, self.seeds_of.get(experiment))
        return self.seeds_on(dataset)[: min((limit for limit in limits if limit), default=None)]

    def stand_in(self, paper: Setting) -> Setting | None:
        """What is run at this scale in place of a setting of the paper; None if it is not run."""
        dataset = self.datasets.get(paper.dataset)
        model = paper.model if self.models is None else self.models.get(paper.model)
        return Setting(dataset, model, paper.recipe) if dataset and model else None


@functools.cache
def load_scale(name: str, root: Path | None = None) -> Scale:
    """Reads a scale's file.

    Raises:
        UserError: An unknown scale, or a value in its file that cannot be.
    """
    folder = (root or project_root()) / "config" / "scales"
    if name not in (known := names_in(folder)):
        raise UserError("unknown scale", key="scale", value=name, remedy=did_you_mean(name, known))
    file = folder / f"{name}.yaml"
    raw = read_yaml(file, schema="scale")
    for key in ("datasets", "models"):
        entries = raw[key].items() if isinstance(raw[key], dict) else ()
        for paper, ours in entries:
            for value in (paper, ours):
                check_name(value, file, key, require_dataset if key == "datasets" else require_model)
    seeds_of = raw.get("seeds_of", {})
    tasks = {task: _task_scale(raw, task) for task in ("shortest_paths", "photographs")}
    most = max(len(raw["seeds"]), *(len(task.seeds) for task in tasks.values()))
    _check_seeds_of(seeds_of, most, names_in(folder.parent / "experiments"), file)
    training_of = raw.get("training_of", {})
    recipes = names_in(folder.parent / "recipes")
    for recipe, settings in training_of.items():
        if recipe not in recipes:
            key, remedy = f"training_of.{recipe}", did_you_mean(recipe, recipes)
            raise UserError("unknown recipe", file=file, key=key, value=settings, remedy=remedy)
    return Scale(
        name=name,
        description=raw["description"].strip(),
        seeds=tuple(raw["seeds"]),
        datasets=raw["datasets"],
        models=None if raw["models"] == "same" else raw["models"],
        training=raw.get("training", {}),
        threads=raw["threads"],
        minutes_per_run=raw["minutes_per_run"],
        seeds_of=seeds_of,
        training_of=training_of,
        **tasks,
    )


def _task_scale(raw: dict[str, Any], task: str) -> TaskScale:
    """What a scale's file says of a task, and where it is silent the scale's own."""
    told = {key: raw[key] for key in ("seeds", "threads", "minutes_per_run")} | raw.get(task, {})
    return TaskScale(tuple(told["seeds"]), told["threads"], told["minutes_per_run"], told.get("training", {}))


def names_in(folder: Path) -> list[str]:
    """Names of the YAML files in a folder, without their ending, sorted.

    They become names of folders, wildcards and words of a shell's command.

    Raises:
        UserError: A name has other characters than letters, digits, `.`, `_` and `-`.
    """
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise UserError(
                "is no name", file=folder, value=f"{name}.yaml", remedy="rename it: letters, digits, '.', '_' and '-'"
            )
    return names


def check_name(value: str, file: Path, key: str, check: Callable[[str], None]) -> None:
    """Lets `check` look at a name, and says which file and key it stands in.

    Raises:
        UserError: The check refuses it.
    """
    try:
        check(value)
    except UserError as error:
        raise UserError(str(error), file=file, key=key) from error


def require_model(name: str) -> None:
    """Refuses what names no network."""
    parse_model_name(name)


def _check_seeds_of(seeds_of: dict[str, int], seeds: int, experiments: list[str], file: Path) -> None:
    for name, count in seeds_of.items():
        key = f"seeds_of.{name}"
        if name not in experiments:
            remedy = did_you_mean(name, experiments)
            raise UserError("unknown experiment", file=file, key=key, value=count, remedy=remedy)
        if count > seeds:
            raise UserError(f"is more than the {seeds} seeds of this scale", file=file, key=key, value=count)
