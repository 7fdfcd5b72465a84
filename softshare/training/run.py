"""From the command line's words to a run: what is given in place of a recipe's settings, and where it computes."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from softshare.data.images import load_images
from softshare.errors import UserError
from softshare.evidence.fold_figures import write_fold_figures
from softshare.evidence.folding import read_folding
from softshare.files import check
from softshare.names import parse_model_name
from softshare.plan import load_scale
from softshare.recipes import load_recipe
from softshare.training.device import keep_freed_memory, resolve_device, resolve_precision
from softshare.training.engine import Job, train
from softshare.training.evaluation import Score, evaluate
from softshare.training.folding import describe_costs, fold_run, parse_thresholds
from softshare.training.recipe import Recipe
from softshare.training.trained import load_trained

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
    device = prepare(arguments.device, arguments.threads)
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
    device = prepare(device_name, None)
    trained = load_trained(run, data, cache, device)
    return evaluate(trained.model, trained.model, trained.test_loader(), resolve_precision(precision, device))


def fold_folder(arguments: argparse.Namespace) -> str:
    """Does what `softshare fold` was asked for.

    Returns:
        What to print: the loops, layers before and after, and a row a threshold.

    Raises:
        UserError: A threshold that is none, or no complete run of a shared network.
    """
    (threshold, *more) = parse_thresholds(arguments.threshold)
    if more:
        raise UserError("must be one number", key="threshold", value=arguments.threshold, remedy="see --thresholds")
    thresholds = parse_thresholds(arguments.thresholds) if arguments.thresholds else []
    if arguments.reestimate_on < 0:
        raise UserError("must be 0 or more", key="reestimate-on", value=arguments.reestimate_on)
    device = prepare(arguments.device, None)
    trained = load_trained(arguments.run, arguments.data, arguments.cache, device)
    out = arguments.out or arguments.run / "folding"
    folding, costs = fold_run(
        trained,
        out,
        threshold=threshold,
        thresholds=thresholds,
        of=arguments.of,
        reestimate_on=arguments.reestimate_on,
        precision=arguments.precision,
    )
    write_fold_figures(read_folding(out / "folding.json"), out)
    return f"{folding}\n\n{describe_costs(costs)}\n\nwritten to {out}"


def prepare(device_name: str, threads: int | None) -> torch.device:
    """Settles device, threads and memory before anything is computed.

    Raises:
        UserError: No such device, or fewer than one thread.
    """
    if threads is not None:
        if threads < 1:
            raise UserError("must be at least 1", key="threads", value=threads)
        torch.set_num_threads(threads)
    keep_freed_memory()
    return resolve_device(device_name)
