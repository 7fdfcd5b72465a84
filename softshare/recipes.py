"""Training recipes: the settings of a file in `config/recipes`, or of one's own; a recipe may extend another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from softshare.clashes import refuse_clashes
from softshare.errors import UserError, did_you_mean
from softshare.files import project_root
from softshare.names import PHOTOGRAPHS, SHORTEST_PATHS, BottleneckName, parse_model_name
from softshare.scales import Scale, names_in
from softshare.schemas import check, read_yaml

IMAGES = "images"
OF_PHOTOGRAPHS = "photographs"
# What the settings of a recipe of each task are held against.
SCHEMAS = {IMAGES: "settings", OF_PHOTOGRAPHS: "photograph-settings", SHORTEST_PATHS: "path-settings"}

# Settings that recipes may leave out. At these values they are no part of what is recorded of a run, so that runs made
# before there was such a setting are runs of today's recipes.
LEFT_OUT = {"statistics_anew": 0}


def load_recipe(name: str, scale: Scale | None = None, root: Path | None = None) -> dict[str, Any]:
    """A recipe's settings, as its file, the files that it extends and then the scale give them.

    Args:
        name: Name of a recipe in `config/recipes/`, or the path of a YAML file.
        scale: The scale whose shortened training to apply; None = the recipe as it stands.
        root: Folder that holds `config/`.

    Raises:
        UserError: An unknown recipe, key or value, settings that do not go together, or recipes that extend each other
            in a circle.
    """
    file, folder = _find(name, root)
    settings = _settings(file, folder, ())
    refuse_clashes(settings, file)
    if scale is None:
        return told(settings)
    task, of_scale = task_of(name, root), folder.parent / "scales" / f"{scale.name}.yaml"
    alone = scale.training_of.get(name, {})
    check(alone, SCHEMAS[task], f"{of_scale}: training_of.{name}")  # its schema takes any recipe for one of images
    settings |= _shortened(task, scale) | alone
    refuse_clashes(settings, f"{of_scale} with recipe {name}")
    return told(settings)


def name_of(given: str) -> str:
    """The name of a recipe that is given by its name (which may hold a dot) or by the path of its file."""
    return Path(given).stem if _is_path(given) else given


def told(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without those that say what holds where they are left out."""
    return {key: value for key, value in settings.items() if key not in LEFT_OUT or value != LEFT_OUT[key]}


def task_of(name: str, root: Path | None = None) -> str:
    """What a recipe trains for: `images`, `photographs`, `shortest-paths`. Arguments and errors as of `load_recipe`."""
    return _task(read_yaml(_find(name, root)[0], schema="recipe"))


def task_on(dataset: str) -> str:
    """The task of the recipes that a dataset is trained on with."""
    if dataset in PHOTOGRAPHS:
        return OF_PHOTOGRAPHS
    return SHORTEST_PATHS if dataset == SHORTEST_PATHS else IMAGES


def require_task(name: str, dataset: str, root: Path | None = None) -> None:
    """Refuses a recipe on a dataset of another task.

    Raises:
        UserError: It is made for another; or an unknown recipe.
    """
    if (task := task_of(name, root)) != (needed := task_on(dataset)):
        raise UserError(f"is of task {task}", key="recipe", value=name, remedy=f"{dataset} needs one of task {needed}")


def require_sharing_fits(model: str, settings: Mapping[str, Any]) -> None:
    """Refuses settings of the sharing that a network cannot have.

    Args:
        model: Name of a network.
        settings: Of a recipe of any task.

    Raises:
        UserError: The identity for coefficients with another number of templates than of layers, or layers to be made
            alike where none are shared; or an unknown network.
    """
    name = parse_model_name(model)
    # Groups of a bottleneck network differ in length.
    one_per_layer = (None,) if isinstance(name, BottleneckName) else (None, name.layers)
    if settings.get("coefficients") == "identity" and name.templates not in one_per_layer:
        raise UserError("needs one template per layer", key="coefficients", value="identity", remedy=f"not {model}")
    if (weight := settings.get("recurrence")) and not name.shared:
        problem = "there are no shared layers to make alike"
        raise UserError(problem, key="recurrence", value=weight, remedy=f"not {model}")


def stored_epoch(fraction: float, epochs: int) -> int:
    """The epoch after which a fraction of the training is over, as `similarity_at` tells it.

    Args:
        fraction: Of the training, from 0 to 1.
        epochs: How many there are.

    Returns:
        The nearest epoch, counted from 1; the first where that would be none.
    """
    return min(epochs, max(1, round(fraction * epochs)))


def _task(raw: dict[str, Any]) -> str:
    return raw.get("task", IMAGES)


def _shortened(task: str, scale: Scale) -> dict[str, Any]:
    """The settings that a scale changes in the recipes of a task."""
    if task == OF_PHOTOGRAPHS:
        return scale.photographs.training
    return scale.shortest_paths.training if task == SHORTEST_PATHS else scale.training


def _find(name: str, root: Path | None) -> tuple[Path, Path]:
    """The file of a recipe, and the folder of the project's."""
    folder = (root or project_root()) / "config" / "recipes"
    return Path(name) if _is_path(name) else folder / f"{_known(name, folder, 'recipe', None)}.yaml", folder


def _settings(file: Path, folder: Path, extending: tuple[Path, ...]) -> dict[str, Any]:
    """Settings of a file over those of the recipe it extends; `extending` are the files that led here."""
    raw = read_yaml(file, schema="recipe")
    if "extends" not in raw:
        return dict(raw["settings"])
    chain = (*extending, file.resolve())
    base = _base(raw["extends"], file, folder)
    if base.resolve() in chain:
        circle = [*chain[chain.index(base.resolve()) :], base]
        raise UserError(
            "leads back to the same recipe",
            file=file,
            key="extends",
            value=raw["extends"],
            remedy=f"let one of them give all its settings: {' -> '.join(path.name for path in circle)}",
        )
    task, other = _task(raw), _task(read_yaml(base, schema="recipe"))
    if task != other:
        remedy = f"say task: {other} in both, or extend another"
        raise UserError(f"is a recipe of task {other}", file=file, key="extends", value=raw["extends"], remedy=remedy)
    return _settings(base, folder, chain) | raw["settings"]


def _base(name: str, file: Path, folder: Path) -> Path:
    if not _is_path(name):
        return folder / f"{_known(name, folder, 'extends', file)}.yaml"
    base = file.parent / name
    if not base.is_file():
        raise UserError(
            "no such file",
            file=file,
            key="extends",
            value=name,
            remedy="give a name in config/recipes, or a path as seen from this file",
        )
    return base


def _is_path(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _known(name: str, folder: Path, key: str, file: Path | None) -> str:
    if name not in (known := names_in(folder)):
        raise UserError("unknown recipe", file=file, key=key, value=name, remedy=did_you_mean(name, known))
    return name
