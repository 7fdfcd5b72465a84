"""What is to be run: experiments x scale -> runs, their folders, and which table or figure needs each.

An experiment file tells a table or figure in the paper's own terms (its models, its datasets). A scale file
tells what stands in for what, how long is trained and which seeds. A run is the key (dataset, model, recipe,
seed); it is made once however many tables show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from softshare.errors import UserError, did_you_mean
from softshare.files import project_root
from softshare.names import require_fit
from softshare.recipes import load_recipe, require_sharing_fits, require_task
from softshare.scales import Run, Scale, Setting, check_name, load_scale, names_in, require_dataset, require_model
from softshare.schemas import read_yaml

# How an experiment that is no table is drawn.
FIGURES = ("similarity", "folding", "parameters", "paths", "path-statistics")
# Those of them on shortest paths, beside which a table stands.
ON_PATHS = ("paths", "path-statistics")


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
        kind: `table`, or one of `FIGURES`.
        cells: Of the rows that are run.
        compare_with: The row that every other row is held against, if any.
        datasets: The paper's datasets, in order.
        rows: Labels, in order; of quoted rows too, which nobody runs and which have no cells.
        shown_at: Fractions of all epochs at which similarity is drawn; none = all that are stored.
        numbers_from: Files of `reports/paper` whose rows of the same labels hold the paper's numbers.
        notes: What a reader should know.
        differences: Pairs of rows: the first one's F1 less the second one's is told.
    """

    name: str
    kind: str
    title: str
    cells: tuple[Cell, ...]
    compare_with: str | None = None
    datasets: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    shown_at: tuple[float, ...] = ()
    numbers_from: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    differences: tuple[tuple[str, str], ...] = ()

    @property
    def quoted(self) -> list[str]:
        """Labels of the rows that are quoted, in order."""
        run = {cell.row for cell in self.cells}
        return [row for row in self.rows if row not in run]

    @property
    def runs(self) -> list[Run]:
        """Every run that it shows, once, sorted."""
        return sorted({run for cell in self.cells for run in cell.runs})

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
        """Every run, once, sorted."""
        return sorted({run for experiment in self.experiments for run in experiment.runs})

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

    def of_kind(self, *kinds: str) -> list[Experiment]:
        """The experiments shown in these ways, such as `table`."""
        return [experiment for experiment in self.experiments if experiment.kind in kinds]


def load_plan(scale: str, experiments: Iterable[str] | None = None, root: Path | None = None) -> Plan:
    """Reads `config/scales/<scale>.yaml` and the experiments' files.

    Args:
        scale: Name of a scale.
        experiments: Names of experiments; by default all, in the order of `config/config.yaml`. What is not made at
            this scale is left out.
        root: Folder that holds `config/`.

    Raises:
        UserError: An unknown name, key or value, or a recipe that this scale makes impossible; it names the file.
    """
    config = (root or project_root()) / "config"
    chosen = load_scale(scale, root)
    known = names_in(config / "experiments")
    wanted = sorted(known, key=_place_in_config(config)) if experiments is None else list(experiments)
    for name in wanted:
        if name not in known:
            raise UserError("unknown experiment", key="experiments", value=name, remedy=did_you_mean(name, known))
    found = (_experiment(name, chosen, config) for name in wanted)
    plan = Plan(chosen, tuple(experiment for experiment in found if experiment is not None))
    # What cannot be trained is told now, not by each job.
    settings = {recipe: load_recipe(recipe, chosen, root) for recipe in plan.recipes}
    for experiment in plan.experiments:
        _check_training(experiment, settings, config / "experiments", root)
    return plan


def _place_in_config(config: Path) -> Callable[[str], tuple[int, str]]:
    """Where an experiment stands in `config.yaml`; what does not stand there comes last."""
    order = read_yaml(config / "config.yaml").get("experiments") or []
    return lambda name: (order.index(name) if name in order else len(order), name)


def _experiment(name: str, scale: Scale, config: Path) -> Experiment | None:
    """An experiment at a scale; None where it is not made at that one."""
    file = config / "experiments" / f"{name}.yaml"
    raw = read_yaml(file, schema="experiment")
    _check_scales(raw, file, "scales")
    if scale.name not in raw.get("scales", (scale.name,)):
        return None
    for dataset in raw["datasets"]:
        check_name(dataset, file, "datasets", require_dataset)
    labels = [row["label"] for row in raw["rows"]]
    cells = []
    for index, row in enumerate(raw["rows"]):
        if row["label"] in labels[:index]:
            raise UserError("appears twice", file=file, key=f"rows.{index}.label", value=row["label"])
        if "quoted" not in row:
            _check_row(row, file, f"rows.{index}", names_in(config / "recipes"))
            _check_scales(row, file, f"rows.{index}.scales")
            for dataset in raw["datasets"]:
                check_name(dataset, file, f"rows.{index}", partial(require_fit, row["model"]))
                seeds = scale.seeds_for(name, dataset, raw.get("seeds"), row.get("seeds"))
                cells.append(_cell(name, row, dataset, scale, seeds))
    compare_with = raw.get("compare_with")
    run = {cell.row for cell in cells}
    if compare_with is not None and compare_with not in run:
        remedy = did_you_mean(compare_with, run)
        raise UserError("no row that is run has it", file=file, key="compare_with", value=compare_with, remedy=remedy)
    for index, pair in enumerate(raw.get("differences", ())):
        for label in pair:
            if label not in run:
                key, remedy = f"differences.{index}", did_you_mean(label, run)
                raise UserError("no row that is run has it", file=file, key=key, value=label, remedy=remedy)
    return Experiment(
        name=name,
        kind=raw["kind"],
        title=raw["title"],
        cells=tuple(cells),
        compare_with=compare_with,
        datasets=tuple(raw["datasets"]),
        rows=tuple(labels),
        shown_at=tuple(raw.get("shown_at", ())),
        numbers_from=tuple(raw.get("numbers_from", ())),
        notes=tuple(note.strip() for note in raw.get("notes", ())),
        differences=tuple((one, other) for one, other in raw.get("differences", ())),
    )


def _check_training(experiment: Experiment, settings: dict[str, Any], folder: Path, root: Path | None) -> None:
    """Refuses a recipe that is not made for its dataset, or whose sharing its network cannot have."""
    file = folder / f"{experiment.name}.yaml"
    for cell in experiment.cells:
        if cell.run is None:
            continue
        key, recipe = f"rows.{experiment.rows.index(cell.row)}", cell.run.recipe
        check_name(recipe, file, f"{key}.recipe", partial(require_task, dataset=cell.run.dataset, root=root))
        check_name(cell.run.model, file, f"{key}.model", partial(require_sharing_fits, settings=settings[recipe]))


def _cell(experiment: str, row: dict[str, Any], dataset: str, scale: Scale, seeds: tuple[int, ...]) -> Cell:
    paper = Setting(dataset, row["model"], row["recipe"])
    ours = scale.stand_in(paper) if scale.name in row.get("scales", (scale.name,)) else None
    if ours:
        require_fit(ours.model, ours.dataset)
    return Cell(experiment, row["label"], paper, ours, tuple(Run(ours, seed) for seed in seeds) if ours else ())


def _check_scales(raw: dict[str, Any], file: Path, key: str) -> None:
    """Refuses scales that an experiment or a row names and that are none."""
    for scale in raw.get("scales", ()):
        if scale not in (known := names_in(file.parent.parent / "scales")):
            raise UserError("unknown scale", file=file, key=key, value=scale, remedy=did_you_mean(scale, known))


def _check_row(row: dict[str, Any], file: Path, key: str, recipes: list[str]) -> None:
    check_name(row["model"], file, f"{key}.model", require_model)
    recipe = row["recipe"]
    if recipe not in recipes:
        remedy = did_you_mean(recipe, recipes)
        raise UserError("unknown recipe", file=file, key=f"{key}.recipe", value=recipe, remedy=remedy)
