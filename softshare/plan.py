"""What is to be run: experiments x scale -> runs, their folders, and which table or figure needs each.

An experiment file tells a table or figure in the paper's own terms (its models, its datasets). A scale file
tells what stands in for what, how long is trained and which seeds. A run is the key (dataset, model, recipe,
seed); it is made once however many tables show it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from softshare.errors import UserError, did_you_mean
from softshare.files import project_root, read_yaml
from softshare.names import DATASETS, parse_model_name


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
class Scale:
    """How much of the paper is run: what stands in for what, the seeds, and the shortened training.

    Attributes:
        seeds: The seeds of every run.
        seeds_of: How many of them an experiment shows here, where it does not show all.
        models: The paper's network: the one run in its place; None = the same.
        training: Settings of every recipe that this scale changes.
    """

    name: str
    description: str
    seeds: tuple[int, ...]
    datasets: dict[str, str]
    models: dict[str, str] | None
    training: dict[str, Any]
    threads: int
    minutes_per_run: float
    seeds_of: dict[str, int] = field(default_factory=dict)

    @property
    def is_paper(self) -> bool:
        """Whether it puts nothing in place of the paper's datasets, networks and training."""
        return self.models is None and not self.training and all(k == v for k, v in self.datasets.items())

    def seeds_for(self, experiment: str, at_most: int | None = None) -> tuple[int, ...]:
        """The seeds that an experiment shows: all, or the first of them where this scale or the experiment says so."""
        limits = (at_most, self.seeds_of.get(experiment))
        return self.seeds[: min((limit for limit in limits if limit), default=None)]

    def stand_in(self, paper: Setting) -> Setting | None:
        """What is run at this scale in place of a setting of the paper; None if it is not run."""
        dataset = self.datasets.get(paper.dataset)
        model = paper.model if self.models is None else self.models.get(paper.model)
        return Setting(dataset, model, paper.recipe) if dataset and model else None


@dataclass(frozen=True)
class Cell:
    """A number of the paper and the runs that answer it."""

    experiment: str
    row: str
    paper: Setting
    run: Setting | None
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Experiment:
    """A table or figure of the paper: its rows, in the paper's terms, and the runs behind each.

    Attributes:
        compare_with: The row that every other row is held against, if any.
    """

    name: str
    kind: str
    title: str
    cells: tuple[Cell, ...]
    compare_with: str | None = None

    @property
    def rows(self) -> list[str]:
        """Row labels, in order."""
        return list(dict.fromkeys(cell.row for cell in self.cells))

    @property
    def datasets(self) -> list[str]:
        """The paper's datasets, in order."""
        return list(dict.fromkeys(cell.paper.dataset for cell in self.cells))

    def cell(self, row: str, dataset: str) -> Cell:
        """The cell at a row and a dataset (both in the paper's terms)."""
        return next(cell for cell in self.cells if cell.row == row and cell.paper.dataset == dataset)


@dataclass(frozen=True)
class Plan:
    """All experiments at one scale."""

    scale: Scale
    experiments: tuple[Experiment, ...]

    @property
    def runs(self) -> list[Run]:
        """Every run once, sorted."""
        return sorted({run for experiment in self.experiments for cell in experiment.cells for run in cell.runs})

    @property
    def datasets(self) -> list[str]:
        """Every dataset that is run, sorted."""
        return sorted({run.setting.dataset for run in self.runs})

    @property
    def recipes(self) -> list[str]:
        """Every recipe that is run, sorted."""
        return sorted({run.setting.recipe for run in self.runs})

    def experiment(self, name: str) -> Experiment:
        """The experiment of that name."""
        return next(experiment for experiment in self.experiments if experiment.name == name)

    def of_kind(self, kind: str) -> list[Experiment]:
        """The experiments shown in one way, such as `table`."""
        return [experiment for experiment in self.experiments if experiment.kind == kind]

    def needed_by(self, run: Run) -> list[str]:
        """Names of the experiments that show a run."""
        return [e.name for e in self.experiments if any(run in cell.runs for cell in e.cells)]


def load_plan(scale: str, experiments: Iterable[str] | None = None, root: Path | None = None) -> Plan:
    """Reads `config/scales/<scale>.yaml` and the experiments' files.

    Args:
        scale: Name of a scale.
        experiments: Names of experiments; all of them by default.
        root: Folder that holds `config/`.

    Raises:
        UserError: An unknown name, key or value; it names the file.
    """
    config = (root or project_root()) / "config"
    chosen = load_scale(scale, root)
    known = names_in(config / "experiments")
    wanted = list(known if experiments is None else experiments)
    for name in wanted:
        if name not in known:
            raise UserError("unknown experiment", key="experiments", value=name, remedy=did_you_mean(name, known))
    return Plan(chosen, tuple(_experiment(name, chosen, config) for name in wanted))


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
                _check_name(value, file, key, _is_dataset if key == "datasets" else _is_model)
    models = raw["models"] if isinstance(raw["models"], dict) else None
    seeds_of = raw.get("seeds_of", {})
    _check_seeds_of(seeds_of, len(raw["seeds"]), names_in(folder.parent / "experiments"), file)
    return Scale(
        name=name,
        description=raw["description"].strip(),
        seeds=tuple(raw["seeds"]),
        datasets=raw["datasets"],
        models=models,
        training=raw.get("training", {}),
        threads=raw["threads"],
        minutes_per_run=raw["minutes_per_run"],
        seeds_of=seeds_of,
    )


def names_in(folder: Path) -> list[str]:
    """Names of the YAML files in a folder, without their ending, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _experiment(name: str, scale: Scale, config: Path) -> Experiment:
    file = config / "experiments" / f"{name}.yaml"
    raw = read_yaml(file, schema="experiment")
    recipes = names_in(config / "recipes")
    seeds = scale.seeds_for(name, raw.get("seeds"))
    cells = []
    for index, row in enumerate(raw["rows"]):
        key = f"rows.{index}"
        _check_name(row["model"], file, f"{key}.model", _is_model)
        if row["recipe"] not in recipes:
            raise UserError(
                "unknown recipe",
                file=file,
                key=f"{key}.recipe",
                value=row["recipe"],
                remedy=did_you_mean(row["recipe"], recipes),
            )
        for dataset in raw["datasets"]:
            _check_name(dataset, file, "datasets", _is_dataset)
            paper = Setting(dataset, row["model"], row["recipe"])
            ours = scale.stand_in(paper)
            runs = tuple(Run(ours, seed) for seed in seeds) if ours else ()
            cells.append(Cell(name, row["label"], paper, ours, runs))
    compare_with = raw.get("compare_with")
    labels = {row["label"] for row in raw["rows"]}
    if compare_with is not None and compare_with not in labels:
        raise UserError(
            "no row has this label",
            file=file,
            key="compare_with",
            value=compare_with,
            remedy=did_you_mean(compare_with, labels),
        )
    return Experiment(name, raw["kind"], raw["title"], tuple(cells), compare_with)


def _check_seeds_of(seeds_of: dict[str, int], seeds: int, experiments: list[str], file: Path) -> None:
    for name, count in seeds_of.items():
        key = f"seeds_of.{name}"
        if name not in experiments:
            raise UserError(
                "unknown experiment", file=file, key=key, value=count, remedy=did_you_mean(name, experiments)
            )
        if count > seeds:
            raise UserError(f"is more than the {seeds} seeds of this scale", file=file, key=key, value=count)


def _check_name(value: str, file: Path, key: str, check: Any) -> None:
    try:
        check(value)
    except UserError as error:
        raise UserError(str(error), file=file, key=key) from error


def _is_model(name: str) -> None:
    parse_model_name(name)


def _is_dataset(name: str) -> None:
    if name not in DATASETS:
        raise UserError("unknown dataset", value=name, remedy=did_you_mean(name, DATASETS))
