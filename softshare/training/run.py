"""From the command line's words to a run: what is given in place of a recipe's settings, and where it computes."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from softshare.data.images import load_images
from softshare.data.loaders import TensorLoader
from softshare.errors import UserError
from softshare.files import check, read_json
from softshare.models import create_model
from softshare.names import parse_model_name
from softshare.plan import load_recipe, load_scale
from softshare.training.device import keep_freed_memory, resolve_device, resolve_precision
from softshare.training.engine import Job, train
from softshare.training.evaluation import Score, evaluate, load_weights
from softshare.training.recipe import Recipe

_OVERRIDES = ("epochs", "batch_size", "dropout", "coefficients", "recurrence", "validation")


def run_from_command_line(arguments: argparse.Namespace) -> None:
    """Trains what `softshare train` was asked for.

    Raises:
        UserError: Anything that cannot be; nothing is written then.
    """
    model = parse_model_name(arguments.model)
    scale = load_scale(arguments.scale) if arguments.scale else None
    settings = load_recipe(arguments.recipe, scale)
    overrides = {key: getattr(arguments, key) for key in _OVERRIDES if getattr(arguments, key) is not None}
    check(overrides, "settings", "command line")
    recipe = Recipe.from_settings(settings | overrides, f"recipe {arguments.recipe}")
    if recipe.coefficients == "identity" and model.templates not in (None, model.layers):
        raise UserError(
            "needs one template per layer", key="coefficients", value="identity", remedy=f"not {arguments.model}"
        )
    if arguments.seed < 0:
        raise UserError("must be a whole number from 0", key="seed", value=arguments.seed)
    device = _prepare(arguments.device, arguments.threads)
    job = Job(
        dataset=arguments.dataset,
        model=arguments.model,
        recipe_name=Path(arguments.recipe).stem,
        recipe=recipe,
        seed=arguments.seed,
        device=device,
        precision=resolve_precision(arguments.precision, device),
        compile=arguments.compile,
        scale=arguments.scale,
    )
    images = load_images(arguments.dataset, arguments.data, cache=arguments.cache)
    metrics = train(job, images, arguments.out, progress=not arguments.quiet)
    test = metrics["test"]
    print(
        f"{arguments.out}: test error {test['error']:.2f} % on {test['images']} images after {metrics['epochs']} epochs"
    )


def evaluate_folder(run: Path, data: Path | None, cache: Path | None, device_name: str, precision: str) -> Score:
    """Evaluates the weights that a complete run left.

    Raises:
        UserError: The folder holds no complete run, or the dataset is another one than it was trained on.
    """
    metrics, manifest = read_json(run / "metrics.json"), read_json(run / "manifest.json")
    device = _prepare(device_name, None)
    images = load_images(metrics["dataset"], data, cache=cache)
    trained_on = manifest["dataset"]["fingerprint"]
    if images.fingerprint != trained_on:
        raise UserError(
            "is not the data that the run was trained on", file=data or metrics["dataset"], key="fingerprint",
            value=images.fingerprint[:12], remedy=f"the run's manifest tells {trained_on[:12]}",
        )  # fmt: skip
    model = load_weights(create_model(metrics["model"], len(images.classes)), run / "model.safetensors")
    model.to(device).to(memory_format=torch.channels_last)
    loader = TensorLoader(
        images.test_images,
        images.test_labels,
        batch_size=500,
        mean=images.mean,
        std=images.std,
        device=device,
        channels_last=True,
    )
    return evaluate(model, model, loader, resolve_precision(precision, device))


def _prepare(device_name: str, threads: int | None) -> torch.device:
    if threads is not None:
        if threads < 1:
            raise UserError("must be at least 1", key="threads", value=threads)
        torch.set_num_threads(threads)
    keep_freed_memory()
    return resolve_device(device_name)
