"""Complete run folders with numbers drawn at random, as large as the paper's runs leave them, but without weights."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from softshare.evidence.paths.scores import planned_epochs
from softshare.files import write_json
from softshare.names import SHORTEST_PATHS, WideResNetName, parse_model_name
from softshare.plan import Plan
from softshare.recipes import load_recipe
from softshare.runfiles import FOLDING, FOLDING_COSTS, HISTORY, MANIFEST, METRICS, PREDICTIONS, SIMILARITY
from softshare.scales import Run
from softshare.training.path_recipe import PathRecipe
from softshare.training.recipe import Recipe
from softshare.training.record import SimilarityRecord, save_history

_THRESHOLDS = [round(0.5 + 0.05 * step, 2) for step in range(11)]
_IMAGES = 10_000


def write_run_folders(plan: Plan, results: Path) -> int:
    """Writes a folder for every run of a plan, with foldings where an experiment folds, and gives their number."""
    folded = {run for experiment in plan.of_kind("folding") for run in experiment.runs}
    for run in plan.runs:
        folder = results / "runs" / run.folder
        folder.mkdir(parents=True)
        settings = load_recipe(run.setting.recipe, plan.scale)
        draw = np.random.default_rng(list(hashlib.sha256(str(run).encode()).digest()))
        write = _write_path_run if run.setting.dataset == SHORTEST_PATHS else _write_image_run
        error = write(folder, run, settings, draw)
        if run in folded:
            _write_folding(folder, run, error, draw)
    return len(plan.runs)


def _write_image_run(folder: Path, run: Run, settings: dict[str, Any], draw: np.random.Generator) -> float:
    """Writes a run on images and gives its test error."""
    recipe = Recipe.from_settings(settings)
    errors = np.geomspace(60, 4, recipe.epochs) * draw.uniform(0.98, 1.02, recipe.epochs)
    history: list[dict[str, Any]] = [
        {
            "epoch": epoch + 1,
            "learning_rate": recipe.learning_rate_at(epoch),
            "train_loss": error / 50,
            "train_error": error / 2,
            "test_loss": error / 20,
            "test_error": error,
            "test_top5_error": error / 10,
            "seconds": 60.0,
            "images_per_second": 800.0,
        }
        for epoch, error in enumerate(errors.tolist())
    ]
    last = history[-1]
    test = {"error": last["test_error"], "top5_error": last["test_top5_error"], "loss": last["test_loss"]}
    dataset = {"name": run.setting.dataset, "source": "drawn by a bench", "fingerprint": "0" * 64}
    metrics = {
        "epochs": recipe.epochs,
        "test": test | {"images": _IMAGES},
        "best": {"error": float(errors.min()), "epoch": int(errors.argmin()) + 1},
    }
    _write_run(folder, run, settings, history, dataset, metrics)
    _similarity(run, recipe.similarity_epochs, draw).save(folder / SIMILARITY)
    return last["test_error"]


def _write_path_run(folder: Path, run: Run, settings: dict[str, Any], draw: np.random.Generator) -> float:
    """Writes a run on shortest paths and gives its last loss: nothing folds it."""
    recipe, epochs = PathRecipe.from_settings(settings), planned_epochs(settings)
    scores = draw.uniform(0.2, 0.9, epochs).tolist()
    history: list[dict[str, Any]] = [
        {
            "epoch": epoch + 1,
            "phase": recipe.phase_of(epoch) + 1,
            "train_loss": 1 - score,
            "test_loss": 1 - score,
            "test_f1": score,
            **({"anew_loss": 1 - score, "anew_f1": score} if recipe.statistics_anew else {}),
            "seconds": 30.0,
            "evaluation_seconds": 3.0,
        }
        for epoch, score in enumerate(scores)
    ]
    at_ends = scores[recipe.epochs - 1 :: recipe.epochs]
    extrapolation = draw.uniform(0.1, 0.9, (recipe.phases, recipe.phases))
    np.fill_diagonal(extrapolation, at_ends)
    dataset = {
        "name": SHORTEST_PATHS,
        "source": "drawn by a bench",
        "seed": run.seed,
        "fingerprint": f"{run.seed:064x}",
        "settings": {"side": recipe.side},
    }
    metrics = {
        "epochs": epochs,
        "test": {"f1": at_ends, "loss": [1 - score for score in at_ends], "examples": recipe.test},
        "extrapolation": extrapolation.tolist(),
    } | ({"anew": {"test": {"f1": at_ends}}} if recipe.statistics_anew else {})
    _write_run(folder, run, settings, history, dataset, metrics)
    _similarity(run, recipe.similarity_epochs, draw).save(folder / SIMILARITY)
    grid = (recipe.phases, 8, recipe.side, recipe.side)
    np.savez(
        folder / PREDICTIONS,
        inputs=draw.integers(0, 2, (*grid[:2], 2, *grid[2:]), np.uint8),
        labels=draw.integers(0, 2, grid, np.uint8),
        probabilities=draw.random(grid, np.float32),
    )
    return 1 - at_ends[-1]


def _write_run(
    folder: Path,
    run: Run,
    settings: dict[str, Any],
    history: list[dict[str, Any]],
    dataset: dict[str, Any],
    metrics: dict[str, Any],
) -> None:
    key = {**vars(run.setting), "seed": run.seed}
    save_history(folder / HISTORY, history)
    manifest = {
        "settings": settings | key,
        "argv": ["softshare", "bench"],
        "commit": "0" * 40,
        "dirty": False,
        "versions": {"softshare": "drawn by a bench"},
        "device": "none",
        "threads": 1,
        "precision": "fp32",
        "loader": "tensor",
        "dataset": dataset,
        "wall_seconds": 3600.0,
        "device_seconds": 3600.0,
    }
    write_json(folder / MANIFEST, manifest)
    told = {"parameters": 1_000_000, "validation": None, "train_loss": history[-1]["train_loss"]}
    write_json(folder / METRICS, key | told | metrics)


def _similarity(run: Run, epochs: list[int], draw: np.random.Generator) -> SimilarityRecord:
    """Coefficients at each epoch of the groups that the network shares; of a plain one, no group."""
    name = parse_model_name(run.setting.model)
    record = SimilarityRecord({"epochs": epochs, "rows": {}})
    if not name.shared:
        return record
    names = ("stage1", "stage2", "stage3") if isinstance(name, WideResNetName) else ("layers",)
    for group in names:
        coefficients = draw.normal(size=(len(epochs), name.layers, name.templates or name.layers))
        units = coefficients / np.linalg.norm(coefficients, axis=-1, keepdims=True)
        record.rows[group] = {
            "coefficients": coefficients.tolist(),
            "weights": np.abs(units @ units.swapaxes(-1, -2)).clip(0, 1).tolist(),
            "weight_shape": [16, 16, 3, 3],
        }
    return record


def _write_folding(folder: Path, run: Run, error: float, draw: np.random.Generator) -> None:
    name = parse_model_name(run.setting.model)
    assert isinstance(name, WideResNetName)
    layers = [chr(ord("a") + index) for index in range(name.layers)]
    groups = ("stage1", "stage2", "stage3")
    costs = [_cost(threshold, name.depth, error, draw) for threshold in (None, *_THRESHOLDS)]
    foldings = [
        {
            "threshold": threshold,
            "layers": name.depth,
            "distinct_layers": name.depth,
            "stages": dict.fromkeys(groups, layers),
        }
        for threshold in _THRESHOLDS
    ]
    content = {
        "run": {**vars(run.setting), "seed": run.seed},
        "of": "coefficients",
        "threshold": 0.8,
        "test_images": _IMAGES,
        "similarity": {group: np.eye(name.layers).tolist() for group in groups},
        "own_layers": dict.fromkeys(groups, 2),
        "foldings": foldings,
        "costs": costs,
    }
    (folder / FOLDING).parent.mkdir()
    write_json(folder / FOLDING, content)
    with (folder / FOLDING_COSTS).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(costs[0]))
        writer.writeheader()
        writer.writerows(costs)


def _cost(threshold: float | None, layers: int, before: float, draw: np.random.Generator) -> dict[str, Any]:
    only_before, only_after = (int(count) for count in draw.integers(1, 50, 2))
    after = before + 100 * (only_after - only_before) / _IMAGES
    return {
        "threshold": threshold,
        "layers": layers,
        "parameters": 1_000_000,
        "error_before": before,
        "error_after": after,
        "only_before": only_before,
        "only_after": only_after,
        "p": 0.5,
        "error_reestimated": after,
        "p_reestimated": None if threshold is None else 0.5,
    }
