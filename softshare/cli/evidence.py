"""Commands from runs to evidence: table, figure, claims, report, publish, compare."""

from __future__ import annotations

import argparse
from pathlib import Path

from softshare.cli.options import add_plan_options


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds table, figure, claims, report, publish and compare."""
    _add_evidence(commands)
    _add_publish(commands)
    _add_compare(commands)


def _add_evidence(commands: argparse._SubParsersAction) -> None:
    for name, text in (
        ("table", "write a table from the runs that are there, as md, tex, csv and html"),
        ("figure", "write a figure from the runs that are there, as svg, png, pdf and csv"),
        ("claims", "hold every claim of the paper against the runs that are there"),
        ("report", "write the report of a scale from what its results hold"),
    ):
        parser = commands.add_parser(name, help=text)
        if name not in ("claims", "report"):
            parser.add_argument("name", help="an experiment of config/experiments, such as table1")
        add_plan_options(parser)
        if name == "report":
            parser.add_argument("--everything", action="store_true", help="also write every table, figure and claim")
            parser.add_argument(
                "--from",
                dest="published",
                type=Path,
                metavar="PUBLISHED",
                help="rebuild what `publish` kept in this folder from its metrics; tell whether the bytes are the same",
            )
            parser.add_argument("--out", type=Path, help="with --from: folder for what is rebuilt")
        parser.set_defaults(command=_rebuild_or_evidence if name == "report" else _evidence, what=name)


def _add_publish(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("publish", help="copy what a scale found to reports/published, to be kept")
    add_plan_options(parser, scale_required=True)
    parser.add_argument(
        "--out", type=Path, default=Path("reports/published"), help="folder to publish in (default: reports/published)"
    )
    parser.add_argument(
        "--allow-dirty", action="store_true", help="also publish what has uncommitted changes behind it"
    )
    parser.set_defaults(command=_publish)


def _add_compare(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "compare", help="compare the same runs made twice: on two machines, or in two precisions"
    )
    parser.add_argument("first", type=Path, help="results of a scale, such as reports/published/compact")
    parser.add_argument("second", type=Path, help="other results of the same scale, such as results/compact")
    add_plan_options(parser, scale_required=True, results=False)
    parser.add_argument("--out", type=Path, help="folder for a page, a table and a figure of the curves")
    parser.add_argument(
        "--publish",
        type=Path,
        metavar="DIR",
        help="copy the first's runs to this folder, to be kept, and the page beside",
    )
    parser.add_argument(
        "--allow-dirty", action="store_true", help="also publish what has uncommitted changes behind it"
    )
    parser.set_defaults(command=_compare)


def _compare(arguments: argparse.Namespace) -> None:
    from softshare.errors import UserError
    from softshare.evidence.comparison.page import describe_comparison, write_comparison
    from softshare.evidence.comparison.publishing import publish_comparison
    from softshare.evidence.comparison.side_by_side import compare
    from softshare.plan import load_plan

    if arguments.allow_dirty and arguments.publish is None:
        raise UserError("works only with --publish", key="allow-dirty")
    plan = load_plan(arguments.scale, arguments.experiments)
    found = compare(plan, arguments.first, arguments.second)
    print(describe_comparison(found))
    if arguments.out is not None:
        for file in write_comparison(found, arguments.out):
            print(file)
    if arguments.publish is not None:
        files = publish_comparison(
            plan, arguments.first, arguments.second, arguments.publish, allow_dirty=arguments.allow_dirty
        )
        print(f"{len(files)} files in {arguments.publish}")


def _rebuild_or_evidence(arguments: argparse.Namespace) -> None:
    from softshare.errors import UserError
    from softshare.evidence.publishing.everything import build_everything
    from softshare.evidence.publishing.rebuild import rebuild
    from softshare.plan import load_plan

    if arguments.published is not None:
        rebuilt = rebuild(arguments.published, arguments.out)
        print(rebuilt)
        if rebuilt.differing or rebuilt.missing:
            first = (*rebuilt.differing, *rebuilt.missing)[0]
            raise UserError("does not come out as it was published", file=arguments.published / first)
    elif arguments.out is not None:
        raise UserError("works only with --from", key="out", value=str(arguments.out), remedy="see --results")
    elif arguments.everything:
        results = _results(arguments)
        build_everything(load_plan(arguments.scale, arguments.experiments), results)
        print(results / "report.md")
    else:
        _evidence(arguments)


def _evidence(arguments: argparse.Namespace) -> None:
    from softshare.evidence.claims import describe_claims, write_claims
    from softshare.evidence.figures.writing import write_figure
    from softshare.evidence.paths.tables import write_path_table
    from softshare.evidence.report import write_report
    from softshare.evidence.tables.writing import write_table
    from softshare.plan import ON_PATHS, load_plan

    plan = load_plan(arguments.scale, arguments.experiments)
    results = _results(arguments)
    if arguments.what == "table":
        of_paths = arguments.name in [experiment.name for experiment in plan.of_kind(*ON_PATHS)]
        write = write_path_table if of_paths else write_table
        write(plan, arguments.name, results, results / "tables")
        print(results / "tables" / f"{arguments.name}.md")
    elif arguments.what == "figure":
        write_figure(plan, arguments.name, results, results / "figures")
        print(results / "figures" / f"{arguments.name}.svg")
    elif arguments.what == "claims":
        print(describe_claims(write_claims(plan, results, results)))
        print(results / "claims.md")
    else:
        write_report(plan, results, results / "report.md")
        print(results / "report.md")


def _results(arguments: argparse.Namespace) -> Path:
    """`results/<scale>`; before any run it is not there, but of a folder that was named a slip is likelier."""
    from softshare.errors import UserError

    if arguments.results != Path("results") and not arguments.results.is_dir():
        raise UserError("no such folder", key="results", value=str(arguments.results))
    return arguments.results / arguments.scale


def _publish(arguments: argparse.Namespace) -> None:
    from softshare.evidence.publishing.publish import publish
    from softshare.plan import load_plan

    plan = load_plan(arguments.scale, arguments.experiments)
    out = arguments.out / arguments.scale
    files = publish(plan, arguments.results / arguments.scale, out, allow_dirty=arguments.allow_dirty)
    print(f"{len(files)} files in {out}")
