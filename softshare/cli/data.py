"""Commands on datasets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softshare.cli.options import add_data_options, add_photograph_options

if TYPE_CHECKING:
    from softshare.data.photographs import PhotographSet

_HOW_USED = ("limit", "allow_damaged")
_HOW_STORED = ("side", "jpeg_share", "jpeg_quality")


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds data, with the actions check, write and shortest-paths."""
    parser = commands.add_parser(
        "data", help="check a dataset, write it for FFCV, or draw examples of shortest paths"
    ).add_subparsers(required=True, metavar="ACTION")
    check = parser.add_parser("check", help="read a dataset (downloading it if absent) and tell what it holds")
    check.add_argument("dataset", help="cifar10, cifar100, digits, imagenet or folder")
    check.add_argument("--out", type=Path, help="also write what it holds to this file, as JSON")
    add_photograph_options(check)
    add_data_options(check, device=False)
    check.set_defaults(command=_data_check)
    _add_write(parser)
    paths = parser.add_parser("shortest-paths", help="draw examples of the shortest-path task, one row for each phase")
    paths.add_argument("--preview", type=Path, required=True, help="the picture to write: png, svg or pdf")
    paths.add_argument("--seed", type=int, default=0, help="of the examples (default: 0)")
    paths.add_argument("--examples", type=int, default=6, help="how many of each phase (default: 6)")
    paths.set_defaults(command=_data_shortest_paths)


def _add_write(actions: argparse._SubParsersAction) -> None:
    write = actions.add_parser("write", help="write a dataset as FFCV's file, .beton, and check it")
    write.add_argument("dataset", help="cifar10, cifar100, digits, imagenet or folder")
    write.add_argument("--out", type=Path, required=True, help="the file; what it holds is told in FILE.json")
    write.add_argument(
        "--time-limit",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="give up after this long without progress (default: 600)",
    )
    how = write.add_argument_group("how photographs are stored")
    how.add_argument("--side", type=int, help="longest side in pixels (default: 500)")
    how.add_argument("--jpeg-share", type=float, help="share that is stored as JPEG, the rest as pixels (default: 1)")
    how.add_argument("--jpeg-quality", type=int, help="of JPEGs that are encoded anew, 1 to 100 (default: 90)")
    add_photograph_options(write)
    write.add_argument("--quiet", action="store_true", help="show no progress")
    add_data_options(write, device=False)
    write.set_defaults(command=_data_write)


def _data_check(arguments: argparse.Namespace) -> None:
    from softshare.files import write_json
    from softshare.names import PHOTOGRAPHS

    _refuse_what_is_for_photographs(arguments)
    _workers(arguments)  # refused also where the dataset needs none
    source, facts = (_photographs if arguments.dataset in PHOTOGRAPHS else _images)(arguments)
    if arguments.out:
        write_json(arguments.out, facts)
    print(f"source: {source}")
    for key, value in facts.items():
        print(f"{key}: {value}")


def _refuse_what_is_for_photographs(arguments: argparse.Namespace) -> None:
    """Refuses options that a dataset in memory would leave unheeded, so that nobody takes all of it for a part."""
    from softshare.errors import UserError
    from softshare.names import DATASETS

    given = vars(arguments)
    for key in (*_HOW_USED, *_HOW_STORED):
        if arguments.dataset in DATASETS and given.get(key) is not None:
            option = key.replace("_", "-")
            problem = f"is for photographs alone, not for {arguments.dataset}"
            raise UserError(problem, key=option, value=given[key], remedy=f"leave --{option} out")


def _images(arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    from softshare.data.images import load_images

    images = load_images(arguments.dataset, arguments.data, cache=arguments.cache)
    return images.source, {
        "name": images.name,
        "fingerprint": images.fingerprint,
        "train_images": len(images.train_labels),
        "test_images": len(images.test_labels),
        "shape": list(images.train_images.shape[1:]),
        "classes": list(images.classes),
        "mean": list(images.mean),
        "std": list(images.std),
    }


def _photographs(arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    photographs = _load_photographs(arguments)
    return photographs.source, {
        "name": photographs.name,
        "fingerprint": photographs.fingerprint,
        "train_images": len(photographs.train),
        "test_images": len(photographs.validation),
        "classes": list(photographs.classes),
        "notes": list(photographs.notes),
        "left_out": list(photographs.damaged),
    }


def _load_photographs(arguments: argparse.Namespace) -> PhotographSet:
    from softshare.data.photograph_sets import load_photographs

    return load_photographs(
        arguments.dataset,
        arguments.data,
        limit=arguments.limit or 0,
        allow_damaged=bool(arguments.allow_damaged),
        cache=arguments.cache,
        workers=_workers(arguments),
        progress=True,
    )


def _workers(arguments: argparse.Namespace) -> int:
    from softshare.data.photograph_loader import workers_of

    return workers_of(arguments.workers)


def _data_write(arguments: argparse.Namespace) -> None:
    from softshare.data.beton_datasets import write_images, write_photographs
    from softshare.data.beton_images import PhotographSettings
    from softshare.names import PHOTOGRAPHS

    _refuse_what_is_for_photographs(arguments)
    progress = not arguments.quiet
    how = PhotographSettings(**{key: value for key in _HOW_STORED if (value := getattr(arguments, key)) is not None})
    threads = max(1, _workers(arguments))
    if arguments.dataset in PHOTOGRAPHS:
        photographs = _load_photographs(arguments)
        facts = write_photographs(
            photographs, arguments.out, how, limit=arguments.time_limit, threads=threads, progress=progress
        )
    else:
        facts = write_images(
            arguments.dataset,
            arguments.data,
            arguments.out,
            cache=arguments.cache,
            limit=arguments.time_limit,
            progress=progress,
        )
    print(
        f"{arguments.out}: {facts['train']:,} and {facts['test']:,} images of {facts['dataset']}, "
        f"{facts['bytes']:,} bytes, checked; sha256 {facts['sha256']}"
    )


def _data_shortest_paths(arguments: argparse.Namespace) -> None:
    from softshare.evidence.paths.preview import write_preview

    write_preview(arguments.preview, seed=arguments.seed, examples=arguments.examples)
    print(arguments.preview)
