"""Commands on one run: train, evaluate, similarity, fold."""

from __future__ import annotations

import argparse
from pathlib import Path

from softshare.cli.options import add_data_options, add_photograph_options
from softshare.telling import GOES_ON


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds them."""
    _add_train(commands)
    _add_evaluate(commands)
    _add_similarity(commands)
    _add_fold(commands)


def _add_train(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("train", help="train one run; resumes a killed one")
    parser.add_argument(
        "--model",
        required=True,
        help="wrn-L-w, swrn-L-w or swrn-L-w-k, for ImageNet with L = 50; for paths cnn-L, scnn-L, scnn-L-k or rnn-L",
    )
    parser.add_argument(
        "--dataset", required=True, help="cifar10, cifar100, digits, imagenet, folder or shortest-paths"
    )
    parser.add_argument(
        "--recipe",
        help="a name in config/recipes, or a YAML file (default: cifar; photographs: imagenet; shortest-paths: paths)",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--scale", help="apply a scale's shortened training")
    parser.add_argument("--epochs", type=int, help="in place of the recipe's; of shortest-paths: of each phase")
    parser.add_argument("--batch-size", type=int, help="in place of the recipe's")
    parser.add_argument("--dropout", type=float, help="in place of the recipe's")
    parser.add_argument("--coefficients", help="initialisation of the coefficients, in place of the recipe's")
    parser.add_argument("--recurrence", type=float, help="lambda_R, in place of the recipe's")
    parser.add_argument("--validation", type=float, help="share of the training set held out")
    add_photograph_options(parser, absent=None)
    parser.add_argument(
        "--precision", default="auto", help="auto, fp32, bf16; on a GPU also tf32, fp16 (default: auto)"
    )
    parser.add_argument("--compile", action="store_true", help="compile the network")
    parser.add_argument("--no-cuda-graph", action="store_true", help="on a GPU: ask for each operation by itself")
    parser.add_argument(
        "--batch-norm",
        choices=("own", "synchronised"),
        default="own",
        help="of several processes (torchrun): statistics of each one's images, or of all (default: own)",
    )
    parser.add_argument(
        "--loader",
        help="auto, tensor, torchvision or ffcv: what loads images; all to the same bits but ffcv for photographs "
        "(default: what SOFTSHARE_LOADER names, else auto)",
    )
    parser.add_argument("--beton", type=Path, help="FFCV's file (default: results/data/DATASET.beton)")
    parser.add_argument("--threads", type=int, help="threads on a CPU")
    parser.add_argument("--tensorboard", action="store_true", help="also leave event files in OUT/tensorboard")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_data_options(parser)
    parser.set_defaults(command=_train, if_stopped=GOES_ON)


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("evaluate", help="test error of a complete run, from its weights")
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument(
        "--precision", default="auto", help="auto, fp32, bf16; on a GPU also tf32, fp16 (default: auto)"
    )
    add_data_options(parser)
    parser.set_defaults(command=_evaluate)


def _add_similarity(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("similarity", help="print the layer similarity matrices of a run")
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("--epoch", type=int, help="a stored epoch (default: the last)")
    parser.set_defaults(command=_similarity)


def _add_fold(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("fold", help="fold a complete run into real loops; tell what that costs")
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("--threshold", default="0.8", help="similarity at which layers become one (default: 0.8)")
    parser.add_argument("--thresholds", help="others to measure: 0.7,0.8 or FIRST:LAST:STEP, such as 0.5:1.0:0.05")
    parser.add_argument(
        "--of",
        choices=("coefficients", "weights"),
        default="coefficients",
        help="what is compared (default: coefficients)",
    )
    parser.add_argument(
        "--reestimate-on",
        type=int,
        default=10_000,
        metavar="IMAGES",
        help="training images (or all) that batch norm's statistics are estimated on anew; 0 = not (default: 10000)",
    )
    parser.add_argument("--out", type=Path, help="folder to write to (default: RUN/folding)")
    parser.add_argument(
        "--precision", default="auto", help="auto, fp32, bf16; on a GPU also tf32, fp16 (default: auto)"
    )
    add_data_options(parser)
    parser.set_defaults(command=_fold)


def _train(arguments: argparse.Namespace) -> None:
    from softshare.training.run import run_from_command_line

    run_from_command_line(arguments)


def _evaluate(arguments: argparse.Namespace) -> None:
    from softshare.training.run import evaluate_folder

    score = evaluate_folder(arguments.run, arguments.data, arguments.cache, arguments.device, arguments.precision)
    print(f"test error {score.error:.2f} %, top-5 {score.top5_error:.2f} %, on {score.images} images")


def _similarity(arguments: argparse.Namespace) -> None:
    from softshare.evidence.similarity import describe_run

    print(describe_run(arguments.run, arguments.epoch))


def _fold(arguments: argparse.Namespace) -> None:
    from softshare.training.run import fold_folder

    print(fold_folder(arguments))
