"""From the command line's words to a run: what is given in place of a recipe's settings, and where it computes."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import torch

from softshare.cores import usable_cores
from softshare.data.ffcv_photographs import decoding_of
from softshare.data.images import load_images
from softshare.data.photograph_loader import workers_of
from softshare.data.photograph_sets import load_photographs
from softshare.data.photographs import PhotographSet
from softshare.data.seeding import require_seed
from softshare.errors import UserError
from softshare.names import PHOTOGRAPHS, SHORTEST_PATHS, require_fit
from softshare.recipes import (
    IMAGES,
    OF_PHOTOGRAPHS,
    SCHEMAS,
    load_recipe,
    name_of,
    require_sharing_fits,
    require_task,
    task_on,
)
from softshare.runfiles import FOLDING
from softshare.scales import load_scale
from softshare.schemas import check
from softshare.training.curves import require_tensorboard
from softshare.training.device import keep_freed_memory, multiplies_in, resolve_device, resolve_precision, use_precision
from softshare.training.engine import train
from softshare.training.evaluation import Score, evaluate
from softshare.training.fitting_loader import require_same_pixels, with_fitting_loader
from softshare.training.fitting_precision import fitting_precision, precision_as_trained
from softshare.training.job import Job
from softshare.training.loading import Images, default_beton, resolve_loader, resolve_photograph_loader
from softshare.training.path_engine import train_paths
from softshare.training.path_recipe import PathRecipe
from softshare.training.photograph_recipe import PhotographRecipe
from softshare.training.processes import device_name, named_by_torchrun, together
from softshare.training.recipe import Recipe
from softshare.training.trained import load_trained

_OVERRIDES = (
    "epochs", "batch_size", "dropout", "coefficients", "recurrence", "validation", "limit", "allow_damaged",
)  # fmt: skip
_MOST_THREADS = 1024
# Of each task: the recipe by default, and what its settings become.
_TASKS: dict[str, tuple[str, type[Recipe] | type[PhotographRecipe] | type[PathRecipe]]] = {
    IMAGES: ("cifar", Recipe),
    OF_PHOTOGRAPHS: ("imagenet", PhotographRecipe),
    SHORTEST_PATHS: ("paths", PathRecipe),
}


def run_from_command_line(arguments: argparse.Namespace) -> None:
    """Trains what `softshare train` was asked for.

    Raises:
        UserError: Anything that cannot be; nothing is written then.
    """
    on_paths = arguments.dataset == SHORTEST_PATHS
    require_fit(arguments.model, arguments.dataset)
    by_default, of_task = _TASKS[task_on(arguments.dataset)]
    name = arguments.recipe or by_default
    settings = _settings(arguments, name)
    recipe = of_task.from_settings(settings, f"recipe {name}")
    require_sharing_fits(arguments.model, settings)
    if arguments.tensorboard:
        require_tensorboard()
    require_seed(arguments.seed)
    if on_paths and arguments.data:
        raise UserError(
            "shortest paths are generated, not read", key="data", value=str(arguments.data), remedy="leave --data out"
        )
    processes = named_by_torchrun()
    if processes.count > 1 and on_paths:
        raise UserError("is trained by one process", key="dataset", value=SHORTEST_PATHS, remedy="leave torchrun out")
    device = prepare(device_name(arguments.device, processes), arguments.threads)
    beton = arguments.beton or default_beton(arguments.dataset)
    loader = _loader(arguments, device, beton)
    precision, why = _precision(arguments, device)
    if why and processes.first:
        print(why)
    job: Job = Job(
        dataset=arguments.dataset,
        model=arguments.model,
        recipe_name=name_of(name),
        recipe=recipe,
        seed=arguments.seed,
        device=device,
        precision=precision,
        compile=arguments.compile,
        cuda_graph=not arguments.no_cuda_graph,
        processes=processes,
        batch_norm=arguments.batch_norm,
        scale=arguments.scale,
        curves=arguments.tensorboard,
        workers=workers_of(arguments.workers),
        loader=loader,
        beton=beton,
        decoding="" if _by_auto(arguments) else _decoding(loader, arguments.dataset, beton),
    )
    with together(processes, device):
        told = _train(job, arguments)
    if processes.first:
        print(told)


def _precision(arguments: argparse.Namespace, device: torch.device) -> tuple[str, str]:
    """What convolutions are computed in, from `--precision`, and a line that says why it is not the fastest."""
    if arguments.precision == "auto":
        return fitting_precision(arguments.out, arguments.dataset, device)
    precision = resolve_precision(arguments.precision, device)
    if multiplies_in(precision, device):
        return precision, ""
    fastest = resolve_precision("auto", device)
    return precision, f"precision: {precision}: this hardware does not multiply in it; {fastest} would be faster"


def _loader(arguments: argparse.Namespace, device: torch.device, beton: Path) -> str:
    """What loads the images, from `--loader`, else the environment."""
    named = arguments.loader
    if arguments.dataset == SHORTEST_PATHS:
        if named not in (None, "auto", "tensor"):
            raise UserError(
                "shortest paths are generated in memory", key="loader", value=named, remedy="use auto or tensor"
            )
        return "tensor"
    if arguments.dataset in PHOTOGRAPHS:
        by_environment = os.environ.get("SOFTSHARE_LOADER") or "auto"
        # Said of all datasets together, it is meant for those that fit into memory.
        by_environment = "torchvision" if by_environment == "tensor" else by_environment
        return resolve_photograph_loader(named or by_environment, beton)
    return resolve_loader(_asked(arguments), device, beton)


def _by_auto(arguments: argparse.Namespace) -> bool:
    """Whether nobody named a loader or FFCV's file."""
    return _asked(arguments) == "auto" and arguments.beton is None


def _asked(arguments: argparse.Namespace) -> str:
    return arguments.loader or os.environ.get("SOFTSHARE_LOADER") or "auto"


def _decoding(loader: str, dataset: str, beton: Path) -> str:
    """What tells pixels of photographs out of FFCV's file from those of the originals."""
    return decoding_of(beton) if loader == "ffcv" and dataset in PHOTOGRAPHS else ""


def _train(job: Job, arguments: argparse.Namespace) -> str:
    """Trains a job; gives a line that tells what came out."""
    if job.dataset == SHORTEST_PATHS:
        metrics = train_paths(job, arguments.out, progress=not arguments.quiet)
        scores = ", ".join(f"{score:.3f}" for score in metrics["test"]["f1"])
        told = f"test F1 {scores} at the end of each phase"
    else:
        images = _images(job, arguments)
        if _by_auto(arguments):
            job, why = with_fitting_loader(job, images, arguments.out)
            if why and job.processes.first:
                print(why)
        require_same_pixels(job)
        metrics = train(job, images, arguments.out, progress=not arguments.quiet)
        told = f"test error {metrics['test']['error']:.2f} % on {metrics['test']['images']} images"
    return f"{arguments.out}: {told} after {metrics['epochs']} epochs"


def _images(job: Job, arguments: argparse.Namespace) -> Images:
    """The run's dataset; what sets photographs apart from the whole set is said."""
    if arguments.dataset not in PHOTOGRAPHS:
        return load_images(arguments.dataset, arguments.data, cache=arguments.cache)
    photographs = load_photographs(
        arguments.dataset,
        arguments.data,
        limit=job.recipe.limit,
        allow_damaged=job.recipe.allow_damaged,
        cache=arguments.cache,
        workers=job.workers,
        progress=job.processes.first and not arguments.quiet,
        part=job.processes.part,
        gather=job.processes.gather,
    )
    if job.processes.first:
        _tell(photographs)
    return photographs


def _tell(photographs: PhotographSet) -> None:
    for note in photographs.notes:
        print(f"{photographs.name}: {note}")


def _settings(arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    """A recipe's settings, with what is given in their place."""
    task = task_on(arguments.dataset)
    scale = load_scale(arguments.scale) if arguments.scale else None
    settings = load_recipe(name, scale)
    require_task(name, arguments.dataset)
    overrides = {key: getattr(arguments, key) for key in _OVERRIDES if getattr(arguments, key) is not None}
    check(overrides, SCHEMAS[task], "command line")
    return settings | overrides


def evaluate_folder(run: Path, data: Path | None, cache: Path | None, device_name: str, precision: str) -> Score:
    """Evaluates the weights that a complete run left.

    Raises:
        UserError: The folder holds no complete run, or the dataset is another one than it was trained on.
    """
    device = prepare(device_name, None)
    trained = load_trained(run, data, cache, device)
    resolved = use_precision(precision_as_trained(precision, trained.manifest, device), device)
    return evaluate(trained.model, trained.model, trained.test_loader(), resolved)


def fold_folder(arguments: argparse.Namespace) -> str:
    """Does what `softshare fold` was asked for.

    Returns:
        What to print: the loops, layers before and after, a row a threshold, and a line a stage folded alone.

    Raises:
        UserError: A threshold that is none, or no complete run of a shared network.
    """
    # matplotlib and scipy's statistics, which training does without
    from softshare.evidence.foldings.figures import write_fold_figures
    from softshare.evidence.foldings.reading import read_folding
    from softshare.training.folding import fold_run, parse_thresholds
    from softshare.training.folding_costs import describe_costs, describe_stage_costs

    (threshold, *more) = parse_thresholds(arguments.threshold)
    if more:
        raise UserError("must be one number", key="threshold", value=arguments.threshold, remedy="see --thresholds")
    thresholds = parse_thresholds(arguments.thresholds) if arguments.thresholds else []
    if arguments.reestimate_on < 0:
        raise UserError("must be 0 or more", key="reestimate-on", value=arguments.reestimate_on)
    device = prepare(arguments.device, None)
    trained = load_trained(arguments.run, arguments.data, arguments.cache, device)
    out = arguments.out or arguments.run / FOLDING.parent
    if not arguments.out and out.is_symlink():
        raise UserError("is a link, which is not followed", file=out, remedy="say --out")
    folding, costs = fold_run(
        trained,
        out,
        threshold=threshold,
        thresholds=thresholds,
        of=arguments.of,
        reestimate_on=arguments.reestimate_on,
        precision=arguments.precision,
    )
    written = read_folding(out / FOLDING.name)
    write_fold_figures(written, out)
    return f"{folding}\n\n{describe_costs(costs)}\n\n{describe_stage_costs(written.stage_costs)}\n\nwritten to {out}"


def prepare(device_name: str, threads: int | None) -> torch.device:
    """Settles device, threads and memory before anything is computed.

    Raises:
        UserError: No such device, or a number of threads that no machine has.
    """
    if threads is not None:
        if not 1 <= threads <= _MOST_THREADS:
            raise UserError(f"must be from 1 to {_MOST_THREADS:,}", key="threads", value=threads)
        torch.set_num_threads(threads)
    elif "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > usable_cores():
        torch.set_num_threads(usable_cores())  # torch asks for a machine's cores, not for a container's share of them
    keep_freed_memory()
    device = resolve_device(device_name)
    if device.type == "cuda" and device.index is not None:  # else what pins memory would hold some of the first GPU's
        torch.cuda.set_device(device)
    return device
