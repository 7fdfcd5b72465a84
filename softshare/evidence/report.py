"""The report of a scale: what ran, where and how long, what follows, and what stands behind it."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from softshare.evidence.claims.judge import Judged, judge_claims
from softshare.evidence.claims.writing import to_json
from softshare.evidence.figures.legends import LEGENDS
from softshare.evidence.figures.writing import shown_numbers
from softshare.evidence.forecasts.against_runs import hold, shown
from softshare.evidence.forecasts.reading import read_forecast
from softshare.evidence.markup import markdown
from softshare.evidence.page import write_page
from softshare.evidence.paths.differences import ABOUT, find_differences, shown_differences
from softshare.evidence.runs.gather import CellEvidence, Evidence, gather
from softshare.evidence.runs.runfolder import Record, State
from softshare.evidence.tables.writing import Table, build_table, to_markdown, to_pipe
from softshare.evidence.templates import fill
from softshare.evidence.verdict import Verdict
from softshare.files import write_text
from softshare.names import SHORTEST_PATHS
from softshare.plan import FIGURES, Experiment, Plan
from softshare.recipes import OF_PHOTOGRAPHS, load_recipe, task_of
from softshare.runfiles import MANIFEST
from softshare.runtimes import FORECAST

# Settings that the paper leaves open, and what is known of them.
_OPEN = {
    "padding": "not said; the author's code pads with zeros, the official Wide ResNet reflects",
    "coefficients": "appendix B: orthonormal columns; identity and sparse are said to work as well, the others worse",
    "validation": "the author's script holds out 10 % of the training set by default",
}
_OPEN_WITH_CUTOUT = {"dropout": "Table 4 does not say whether dropout joins cutout"}
_OPEN_ON_PATHS = {
    "batch_size": "section 4.4 does not tell",
    "test": "section 4.4 tells no test set",
    "paths": "where several shortest paths exist, section 4.4 does not say whether a label marks all",
    "skip": "read word for word, the input joins after the ReLU; residual networks add it before",
    "adam_state": "section 4.4 does not say what Adam keeps at a new phase",
    "positive_weight": "section 4.4 tells no loss; binary cross-entropy a pixel, with this weight on a path's points",
}
_OPEN_ON_PHOTOGRAPHS = {
    "coefficients": _OPEN["coefficients"],
    "interpolation": "section 4.2 names fb.resnet.torch, which is bicubic; Pillow low-passes besides what it shrinks",
}
_ALWAYS = (
    "A stage's group holds all of its 3x3 convolutions but the first block's two (section 4.1).",
    "The last, smaller batch of an epoch is kept.",
    "Weight decay falls on everything but the coefficients.",
    "The error told is the last epoch's on the test set, never the best epoch's.",
)


def write_report(plan: Plan, results: Path, out: Path, *, standalone: bool = True) -> Path:
    """Writes the report of a scale from what is there, as Markdown and as a page; what is not there is "not run".

    Args:
        plan: What was to be run.
        results: `results/<scale>`.
        out: The Markdown file to write; the page stands beside it as `.html`. Links are relative to it.
        standalone: Whether the page holds its drawings, so that it can be sent alone; else it links to them.

    Returns:
        The Markdown file.

    Raises:
        UserError: A recipe, the paper's numbers, its claims or the forecast cannot be read, or the report cannot be
            written.
    """
    evidence = gather(plan, results)
    tables = [build_table(evidence, experiment.name) for experiment in plan.of_kind("table")]
    complete = evidence.in_state(State.COMPLETE)

    def link(path: Path) -> str:
        return quote(Path(os.path.relpath(results / path, out.parent)).as_posix())

    judged = judge_claims(plan, results)
    context: dict[str, Any] = {
        "scale": plan.scale,
        "claims": to_json(judged),
        "caveat": _caveat(plan),
        "without_runs": _without_runs(judged),
        "planned": len(plan.runs),
        "complete": len(complete),
        "absent": evidence.in_state(State.ABSENT),
        "unusable": evidence.in_state(State.UNUSABLE),
        "wall_hours": _hours(complete, "wall_seconds"),
        "devices": _devices(complete),
        "where": _where(complete),
        "verdicts": _verdicts(tables),
        "without_number": sum(line.number is None for table in tables for line in table.lines),
        "tables": [{"title": table.experiment.title, **_table(table, results, link)} for table in tables],
        "figures": [_figure(each, evidence, results, link) for each in plan.of_kind(*FIGURES)],
        "forecast": _forecast(evidence, results, link),
        "sources": _sources(evidence, link),
        "open_settings": _open_settings(plan),
        "always": _ALWAYS,
    }
    write_text(out, fill("report.md.j2", context, {"markdown": markdown}))
    write_page(evidence, judged, tables, context, results, out.with_suffix(".html"), standalone=standalone)
    return out


def _caveat(plan: Plan) -> str:
    if plan.scale.is_paper:
        return "What was run is what the paper ran, as far as it tells; what it prints is held against ours."
    real = sorted(paper for paper, ours in plan.scale.datasets.items() if paper == ours != SHORTEST_PATHS)
    if real:
        return (
            f"Real data ({', '.join(real)}), but smaller networks or shorter training than the paper's. "
            "No number measured here is an answer to a number of the paper, and none is compared with one."
        )
    return (
        "This scale proves that the machinery works from data to report, and says nothing about CIFAR. "
        "No number measured here is an answer to a number of the paper, and none is compared with one."
    )


def _hours(complete: list[Record], key: str) -> str:
    seconds = sum(record.manifest[key] for record in complete)
    if not complete:
        return "not run"
    return f"{seconds / 3600:.2f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def _devices(complete: list[Record]) -> list[dict[str, str]]:
    """What ran on each device: hours of one are not those of another."""
    alike: dict[tuple[str, ...], list[Record]] = {}
    for record in complete:
        told = [record.device, *(record.manifest.get(key) for key in ("precision", "threads"))]
        made = ["not recorded" if value is None else str(value) for value in told]
        alike.setdefault((*made, str(record.manifest.get("processes", 1))), []).append(record)
    return [
        {
            "device": f"{device}, {processes} processes a run" if processes != "1" else device,
            "precision": precision,
            "threads": threads,
            "runs": str(len(records)),
            "time": _hours(records, "device_seconds"),
        }
        for (device, precision, threads, processes), records in sorted(alike.items())
    ]


def _forecast(evidence: Evidence, results: Path, link: Callable[[Path], str]) -> dict[str, Any] | None:
    """The scale's forecast against what its runs took; None where none was written."""
    foretold = read_forecast(results, evidence.plan.scale.name)
    if foretold is None:
        return None
    return {**shown(hold(foretold, evidence.records.values())), "file": link(Path(FORECAST))}


def _without_runs(judged: Judged) -> str:
    """How many verdicts rest on no run: on counts of parameters, simulated starts or the bench."""
    elsewhere = Counter(
        each.finding.at.split(",")[0]
        for each in judged.confirmatory
        if each.finding.verdict in (Verdict.REPRODUCED, Verdict.CLOSE, Verdict.NOT_REPRODUCED)
        and each.finding.at != f"scale {judged.scale}"
    )
    answered = sum(judged.counts[str(each)] for each in (Verdict.REPRODUCED, Verdict.CLOSE, Verdict.NOT_REPRODUCED))
    if not elsewhere:
        return ""
    told = ", ".join(f"{count} on {what}" for what, count in sorted(elsewhere.items()))
    return f"Of the {answered} reproduced, close or not, {elsewhere.total()} need no run of this scale: {told}."


def _where(complete: list[Record]) -> dict[str, str]:
    """What the complete runs say of how they were made, each different answer once."""

    def answers(pick: Callable[[Record], object]) -> str:
        values = {"not recorded" if (value := pick(record)) is None else str(value) for record in complete}
        return ", ".join(sorted(values)) or "not run"

    packages = sorted({name for record in complete for name in record.manifest["versions"]})
    versions = [f"{name} {answers(functools.partial(_version, name))}" for name in packages]
    return {
        "Loader": answers(lambda record: record.manifest.get("loader")),
        "Data": answers(_dataset),
        "Code": answers(_codes),
        "Versions": "; ".join(versions) or "not run",
    }


def _version(package: str, record: Record) -> object:
    return record.manifest["versions"].get(package)


def _dataset(record: Record) -> str:
    dataset = record.manifest["dataset"]
    if dataset.get("seed") is not None:
        return f"{dataset.get('name')} (drawn with each run's seed)"
    lossy = f"; {record.lossy}" if record.lossy else ""
    return f"{dataset.get('name')} (SHA-256 {str(dataset.get('fingerprint'))[:12]}{lossy})"


def _codes(record: Record) -> str:
    return ", then ".join(dict.fromkeys(code.words for code in record.stretches))


def _verdicts(tables: list[Table]) -> dict[str, int]:
    counts = Counter(line.judgement.verdict for table in tables for line in table.lines if line.number)
    return {str(verdict): counts[verdict] for verdict in Verdict if verdict is not Verdict.NO_NUMBER}


def _table(table: Table, results: Path, link: Callable[[Path], str]) -> dict[str, Any]:
    files = [Path("tables") / f"{table.experiment.name}.{ending}" for ending in ("md", "tex", "csv")]
    return {
        "body": to_markdown(table, title=False),
        "source": table.paper.source,
        "notes": table.paper.notes,
        "priors": [
            f"{by.name}: {by.n} run{'s' if by.n > 1 else ''}, spread between seeds {by.prior_sd} ({by.prior_sd_source})"
            for by in table.paper.datasets.values()
            if by.n is not None
        ],
        "compared_with": table.experiment.compare_with,
        "files": [(file.suffix[1:], link(file)) for file in files if (results / file).is_file()],
    }


def _figure(experiment: Experiment, evidence: Evidence, results: Path, link: Callable[[Path], str]) -> dict[str, Any]:
    files = [Path("figures") / f"{experiment.name}.{ending}" for ending in ("png", "svg", "pdf", "csv")]
    rows = shown_numbers(evidence, experiment.name, results)
    differences = shown_differences(find_differences(experiment, evidence.cells[experiment.name], results))
    return {
        "name": experiment.name,
        "title": experiment.title,
        "notes": experiment.notes,
        "legend": LEGENDS[experiment.kind],
        "rows": rows,
        "numbers": to_pipe(rows),
        "difference_rows": differences,
        "differences": to_pipe(differences),
        "about_differences": ABOUT,
        "files": {file.suffix[1:]: link(file) for file in files if (results / file).is_file()},
    }


def _sources(evidence: Evidence, link: Callable[[Path], str]) -> list[dict[str, Any]]:
    def source(found: CellEvidence) -> dict[str, Any]:
        runs = [(str(record.run.seed), link(record.folder / MANIFEST)) for record in found.complete]
        cell = found.cell
        return {
            "experiment": cell.experiment,
            "row": cell.row,
            "paper": str(cell.paper),
            "run": str(cell.run) if cell.run else "not run at this scale",
            "manifests": runs,
        }

    return [source(found) for cells in evidence.cells.values() for found in cells]


def _open_in(task: str, settings: dict[str, Any]) -> dict[str, str]:
    """What the paper leaves open of a recipe's settings."""
    if task == SHORTEST_PATHS:
        return _OPEN_ON_PATHS
    if task == OF_PHOTOGRAPHS:
        return _OPEN_ON_PHOTOGRAPHS
    return _OPEN | (_OPEN_WITH_CUTOUT if settings["cutout"] else {})


def _open_settings(plan: Plan) -> list[dict[str, str]]:
    recipes = sorted({cell.paper.recipe for experiment in plan.experiments for cell in experiment.cells})
    chosen_by: dict[tuple[str, str, str], list[str]] = {}
    for recipe in recipes:
        settings = load_recipe(recipe, plan.scale)
        known = _open_in(task_of(recipe), settings)
        for key, why in known.items():
            chosen_by.setdefault((key, str(settings[key]), why), []).append(recipe)
    return [
        {"recipes": ", ".join(names), "setting": key, "chosen": chosen, "why": why}
        for (key, chosen, why), names in chosen_by.items()
    ]
