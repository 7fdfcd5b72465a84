"""Commands on datasets."""

from __future__ import annotations

import argparse
from pathlib import Path

from softshare.cli.options import add_data_options


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds them."""
    parser = commands.add_parser("data", help="datasets").add_subparsers(required=True, metavar="ACTION")
    check = parser.add_parser("check", help="read a dataset (downloading it if absent) and tell what it holds")
    check.add_argument("dataset", help="cifar10, cifar100 or digits")
    check.add_argument("--out", type=Path, help="also write it as JSON")
    add_data_options(check, device=False)
    check.set_defaults(command=_data_check)
    _add_write(parser)
    paths = parser.add_parser("shortest-paths", help="draw examples of the shortest-path task, a row a phase")
    paths.add_argument("--preview", type=Path, required=True, help="the picture to write: png, svg or pdf")
    paths.add_argument("--seed", type=int, default=0, help="of the data (default: 0)")
    paths.add_argument("--examples", type=int, default=6, help="examples a phase (default: 6)")
    paths.set_defaults(command=_data_shortest_paths)


def _add_write(actions: argparse._SubParsersAction) -> None:
    write = actions.add_parser("write", help="write a dataset as FFCV's file, .beton, and check it")
    write.add_argument("dataset", help="cifar10, cifar100, digits or imagenet")
    write.add_argument("--out", type=Path, required=True, help="the file; what it holds is told in FILE.json")
    write.add_argument(
        "--time-limit", type=float, default=600.0, metavar="SECONDS", help="without progress (default: 600)"
    )
    write.add_argument("--quiet", action="store_true", help="no progress")
    add_data_options(write, device=False)
    write.set_defaults(command=_data_write)


def _data_check(arguments: argparse.Namespace) -> None:
    from softshare.data.images import load_images
    from softshare.files import write_json

    images = load_images(arguments.dataset, arguments.data, cache=arguments.cache)
    facts = {
        "name": images.name,
        "fingerprint": images.fingerprint,
        "train_images": len(images.train_labels),
        "test_images": len(images.test_labels),
        "shape": list(images.train_images.shape[1:]),
        "classes": list(images.classes),
        "mean": list(images.mean),
        "std": list(images.std),
    }
    if arguments.out:
        write_json(arguments.out, facts)
    print(f"source: {images.source}")
    for key, value in facts.items():
        print(f"{key}: {value}")


def _data_write(arguments: argparse.Namespace) -> None:
    from softshare.data.beton_datasets import write_images

    facts = write_images(
        arguments.dataset,
        arguments.data,
        arguments.out,
        cache=arguments.cache,
        limit=arguments.time_limit,
        progress=not arguments.quiet,
    )
    print(
        f"{arguments.out}: {facts['train']:,} and {facts['test']:,} images of {facts['dataset']}, "
        f"{facts['bytes']:,} bytes, checked; sha256 {facts['sha256']}"
    )


def _data_shortest_paths(arguments: argparse.Namespace) -> None:
    from softshare.data.path_preview import write_preview

    write_preview(arguments.preview, seed=arguments.seed, examples=arguments.examples)
    print(arguments.preview)
