"""Commands on one run: train, evaluate, similarity, fold."""

from __future__ import annotations

import argparse
from pathlib import Path

from softshare.cli.options import add_data_options, add_photograph_options
from softshare.telling import GOES_ON


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds train, evaluate, similarity and fold."""
    _add_train(commands)
    _add_evaluate(commands)
    _add_similarity(commands)
    _add_fold(commands)


def _add_train(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("train", help="train one run; started again, a killed run resumes")
    parser.add_argument(
        "--model",
        required=True,
        help="wrn-L-w, or with shared layers swrn-L-w or swrn-L-w-k (depth L, width w, k templates), such as "
        "swrn-28-10-2; for photographs L is 50, 101 or 152; for shortest-paths cnn-L, scnn-L, scnn-L-k or rnn-L",
    )
    parser.add_argument(
        "--dataset", required=True, help="cifar10, cifar100, digits, imagenet, folder or shortest-paths"
    )
    parser.add_argument(
        "--recipe",
        help="a name in config/recipes, or a YAML file (default: cifar; photographs: imagenet; shortest-paths: paths)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn at random (default: 0)")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--scale", help="train as briefly as at scale quick or compact (default: as the recipe says)")
    parser.add_argument("--epochs", type=int, help="in place of the recipe's; for shortest-paths, of each phase")
    parser.add_argument("--batch-size", type=int, help="images a step, in place of the recipe's")
    parser.add_argument("--dropout", type=float, help="share of activations set to 0, in place of the recipe's")
    parser.add_argument(
        "--coefficients",
        help="how they start: orthogonal, identity, sparse, normal or uniform, in place of the recipe's",
    )
    parser.add_argument(
        "--recurrence",
        type=float,
        help="weight of the penalty that makes layers alike (lambda_R), in place of the recipe's",
    )
    parser.add_argument(
        "--validation", type=float, help="share of the training set that is held out, in place of the recipe's"
    )
    add_photograph_options(parser)
    parser.add_argument(
        "--precision",
        default="auto",
        help="fp32, bf16; on a GPU also tf32, fp16 (default: auto, that of runs beside it, else the fastest)",
    )
    what = "compile the network with torch.compile (what that brings here: softshare bench --only compiled)"
    parser.add_argument("--compile", action="store_true", help=what)
    parser.add_argument(
        "--no-cuda-graph",
        action="store_true",
        help="on a GPU: launch every operation separately instead of replaying a CUDA graph",
    )
    parser.add_argument(
        "--batch-norm",
        choices=("own", "synchronised"),
        default="own",
        help="with several processes (torchrun): statistics of each one's own images, or of all (default: own)",
    )
    parser.add_argument(
        "--loader",
        help="what loads images: auto, tensor, torchvision or ffcv; all come to the same bits, but for ffcv on "
        "photographs (default: what SOFTSHARE_LOADER names, else auto)",
    )
    parser.add_argument("--beton", type=Path, help="FFCV's file of the dataset (default: results/data/DATASET.beton)")
    parser.add_argument("--threads", type=int, help="CPU threads to compute with (default: torch's own choice)")
    parser.add_argument("--tensorboard", action="store_true", help="also leave event files in OUT/tensorboard")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    add_data_options(parser)
    parser.set_defaults(command=_train, if_stopped=GOES_ON)


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("evaluate", help="compute the test error of a complete run from its weights")
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument(
        "--precision",
        default="auto",
        help="fp32, bf16; on a GPU also tf32, fp16 (default: auto, that of the training, where this hardware has it)",
    )
    add_data_options(parser)
    parser.set_defaults(command=_evaluate)


def _add_similarity(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("similarity", help="print the layer similarity matrices of a run")
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("--epoch", type=int, help="one at which similarity was stored (default: the last)")
    parser.set_defaults(command=_similarity)


def _add_fold(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "fold", help="fold a complete run: layers that are alike become one, run in loops; tell what that costs"
    )
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("--threshold", default="0.8", help="least similarity of layers that become one (default: 0.8)")
    parser.add_argument(
        "--thresholds", help="others to tell the costs of: 0.7,0.8 or FIRST:LAST:STEP, such as 0.5:1.0:0.05"
    )
    parser.add_argument(
        "--of",
        choices=("coefficients", "weights"),
        default="coefficients",
        help="what similarity is taken of (default: coefficients)",
    )
    parser.add_argument(
        "--reestimate-on",
        type=int,
        default=10_000,
        metavar="IMAGES",
        help="number of training images to re-estimate batch norm's statistics on; all, if there are fewer; 0 = off "
        "(default: 10000)",
    )
    parser.add_argument("--out", type=Path, help="folder to write to (default: RUN/folding)")
    parser.add_argument(
        "--precision",
        default="auto",
        help="fp32, bf16; on a GPU also tf32, fp16 (default: auto, that of the training, where this hardware has it)",
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
    from softshare.evidence.similarity.reading import describe_run

    print(describe_run(arguments.run, arguments.epoch))


def _fold(arguments: argparse.Namespace) -> None:
    from softshare.training.run import fold_folder

    print(fold_folder(arguments))
