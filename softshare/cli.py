"""The command line: parsing only. Each command imports what it needs, so that a report loads no torch."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from softshare import __version__
from softshare.errors import Stopped, UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Returns:
        0; 2 where the input was at fault (the one line on standard error tells how); 128 + the signal that stopped it.
    """
    arguments = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a log is read while the run goes on
    try:
        arguments.command(arguments)
    except UserError as error:
        if arguments.debug:
            raise
        print(f"softshare: error: {error}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"softshare: stopped by {stopped}; the same command goes on from the last checkpoint", file=sys.stderr)
        return 128 + stopped.number
    except BrokenPipeError:
        sys.stderr.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="softshare", description="Soft parameter sharing, and its reproduction.")
    parser.add_argument("--version", action="version", version=f"softshare {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_evaluate(commands)
    _add_similarity(commands)
    _add_fold(commands)
    _add_data(commands)
    _add_evidence(commands)
    _add_publish(commands)
    _add_bench(commands)
    _add_survey(commands)
    return parser


def _add_train(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("train", help="train one run; resumes a killed one")
    parser.add_argument(
        "--model", required=True, help="wrn-L-w, swrn-L-w or swrn-L-w-k; for paths cnn-L, scnn-L, scnn-L-k or rnn-L"
    )
    parser.add_argument("--dataset", required=True, help="cifar10, cifar100, digits or shortest-paths")
    parser.add_argument(
        "--recipe", help="a name in config/recipes, or a YAML file (default: cifar; for shortest-paths paths)"
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
    parser.add_argument("--precision", default="auto", help="auto, fp32 or bf16 (default: auto)")
    parser.add_argument("--compile", action="store_true", help="compile the network")
    parser.add_argument("--threads", type=int, help="threads on a CPU")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    _add_data_options(parser)
    parser.set_defaults(command=_train)


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("evaluate", help="test error of a complete run, from its weights")
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("--precision", default="auto", help="auto, fp32 or bf16 (default: auto)")
    _add_data_options(parser)
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
        help="training images that batch norm's statistics are estimated on anew; 0 = not (default: 10000)",
    )
    parser.add_argument("--out", type=Path, help="folder to write to (default: RUN/folding)")
    parser.add_argument("--precision", default="auto", help="auto, fp32 or bf16 (default: auto)")
    _add_data_options(parser)
    parser.set_defaults(command=_fold)


def _add_data(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("data", help="datasets").add_subparsers(required=True, metavar="ACTION")
    check = parser.add_parser("check", help="read a dataset (downloading it if absent) and tell what it holds")
    check.add_argument("dataset", help="cifar10, cifar100 or digits")
    check.add_argument("--out", type=Path, help="also write it as JSON")
    _add_data_options(check, device=False)
    check.set_defaults(command=_data_check)
    paths = parser.add_parser("shortest-paths", help="draw examples of the shortest-path task, a row a phase")
    paths.add_argument("--preview", type=Path, required=True, help="the picture to write: png, svg or pdf")
    paths.add_argument("--seed", type=int, default=0, help="of the data (default: 0)")
    paths.add_argument("--examples", type=int, default=6, help="examples a phase (default: 6)")
    paths.set_defaults(command=_data_shortest_paths)


def _add_evidence(commands: argparse._SubParsersAction) -> None:
    for name, text in (
        ("table", "write a table as md, tex and csv"),
        ("figure", "write a figure as svg, png, pdf and csv"),
        ("claims", "hold every claim of the paper against the runs that are there"),
        ("report", "write the report of a scale from what is there"),
    ):
        parser = commands.add_parser(name, help=text)
        if name not in ("claims", "report"):
            parser.add_argument("name", help="an experiment of config/experiments")
        parser.add_argument("--scale", default="quick", help="quick, compact or paper (default: quick)")
        parser.add_argument("--experiments", nargs="+", help="experiments in the plan (default: all)")
        parser.add_argument(
            "--results", type=Path, default=Path("results"), help="folder of results (default: results)"
        )
        parser.set_defaults(command=_evidence, what=name)


def _add_publish(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("publish", help="keep what a scale found in reports/published")
    parser.add_argument("--scale", required=True, help="quick, compact or paper")
    parser.add_argument("--experiments", nargs="+", help="experiments in the plan (default: all)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of results (default: results)")
    parser.add_argument("--out", type=Path, default=Path("reports/published"), help="(default: reports/published)")
    parser.add_argument("--allow-dirty", action="store_true", help="also runs made with uncommitted changes")
    parser.set_defaults(command=_publish)


def _add_bench(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("bench", help="ratios measured in one run")
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="benches whose name begins so")
    parser.add_argument("--rounds", type=int, help="measurements of each, at least 5")
    parser.set_defaults(command=_bench)


def _add_survey(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("survey", help="what sharing saves in networks of torchvision and timm, as a table")
    parser.add_argument("--out", type=Path, help="write the page to a file (default: print it)")
    parser.add_argument("--architectures", nargs="+", metavar="NAME", help="for instance timm.convnext_atto")
    parser.set_defaults(command=_survey)


def _add_data_options(parser: argparse.ArgumentParser, device: bool = True) -> None:
    parser.add_argument("--data", type=Path, help="folder or archive that holds the dataset")
    parser.add_argument("--cache", type=Path, default=_default_cache(), help="folder for decoded images")
    if device:
        parser.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:N (default: auto)")


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "softshare"


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


def _data_shortest_paths(arguments: argparse.Namespace) -> None:
    from softshare.data.path_preview import write_preview

    write_preview(arguments.preview, seed=arguments.seed, examples=arguments.examples)
    print(arguments.preview)


def _evidence(arguments: argparse.Namespace) -> None:
    from softshare.evidence.claims import describe_claims, write_claims
    from softshare.evidence.figures import write_figure
    from softshare.evidence.path_tables import write_path_table
    from softshare.evidence.report import write_report
    from softshare.evidence.tables import write_table
    from softshare.plan import load_plan

    plan = load_plan(arguments.scale, arguments.experiments)
    results = arguments.results / arguments.scale
    if arguments.what == "table":
        of_paths = arguments.name in [experiment.name for experiment in plan.of_kind("paths")]
        write = write_path_table if of_paths else write_table
        write(plan, arguments.name, results, results / "tables")
    elif arguments.what == "figure":
        write_figure(plan, arguments.name, results, results / "figures")
    elif arguments.what == "claims":
        print(describe_claims(write_claims(plan, results, results)))
        print(results / "claims.md")
    else:
        write_report(plan, results, results / "report.md")
        print(results / "report.md")


def _publish(arguments: argparse.Namespace) -> None:
    from softshare.evidence.publish import publish
    from softshare.plan import load_plan

    plan = load_plan(arguments.scale, arguments.experiments)
    out = arguments.out / arguments.scale
    files = publish(plan, arguments.results / arguments.scale, out, allow_dirty=arguments.allow_dirty)
    print(f"{len(files)} files in {out}")


def _bench(arguments: argparse.Namespace) -> None:
    from softshare.bench import run_benches

    run_benches(arguments.out, arguments.only, arguments.rounds)


def _survey(arguments: argparse.Namespace) -> None:
    from softshare.models.survey import write_survey

    page = write_survey(arguments.out, arguments.architectures)
    print(arguments.out or page)
