"""Commands on datasets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from softshare.cli.options import add_data_options, add_photograph_options


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds them."""
    parser = commands.add_parser("data", help="datasets").add_subparsers(required=True, metavar="ACTION")
    check = parser.add_parser("check", help="read a dataset (downloading it if absent) and tell what it holds")
    check.add_argument("dataset", help="cifar10, cifar100, digits, imagenet or folder")
    check.add_argument("--out", type=Path, help="also write it as JSON")
    add_photograph_options(check)
    add_data_options(check, device=False)
    check.set_defaults(command=_data_check)
    paths = parser.add_parser("shortest-paths", help="draw examples of the shortest-path task, a row a phase")
    paths.add_argument("--preview", type=Path, required=True, help="the picture to write: png, svg or pdf")
    paths.add_argument("--seed", type=int, default=0, help="of the data (default: 0)")
    paths.add_argument("--examples", type=int, default=6, help="examples a phase (default: 6)")
    paths.set_defaults(command=_data_shortest_paths)


def _data_check(arguments: argparse.Namespace) -> None:
    from softshare.files import write_json
    from softshare.names import PHOTOGRAPHS

    source, facts = (_photographs if arguments.dataset in PHOTOGRAPHS else _images)(arguments)
    if arguments.out:
        write_json(arguments.out, facts)
    print(f"source: {source}")
    for key, value in facts.items():
        print(f"{key}: {value}")


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
    from softshare.data.photograph_loader import default_workers
    from softshare.data.photograph_sets import load_photographs

    photographs = load_photographs(
        arguments.dataset,
        arguments.data,
        limit=arguments.limit or 0,
        allow_damaged=arguments.allow_damaged,
        cache=arguments.cache,
        workers=default_workers() if arguments.workers is None else arguments.workers,
        progress=True,
    )
    return photographs.source, {
        "name": photographs.name,
        "fingerprint": photographs.fingerprint,
        "train_images": len(photographs.train),
        "test_images": len(photographs.validation),
        "classes": list(photographs.classes),
        "notes": list(photographs.notes),
        "left_out": list(photographs.damaged),
    }


def _data_shortest_paths(arguments: argparse.Namespace) -> None:
    from softshare.data.path_preview import write_preview

    write_preview(arguments.preview, seed=arguments.seed, examples=arguments.examples)
    print(arguments.preview)
