"""The report as one page: no network, works printed, by keyboard and read aloud."""

from __future__ import annotations

import base64
import json
import math
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from markupsafe import Markup

from softshare.errors import UserError
from softshare.evidence.claims.judge import Judged
from softshare.evidence.claims.writing import to_json
from softshare.evidence.runs.gather import CellEvidence, Evidence
from softshare.evidence.runs.runfolder import Record
from softshare.evidence.similarity.reading import read_coefficients, read_similarity
from softshare.evidence.tables.columns import RIGHT, shown
from softshare.evidence.tables.writing import Table
from softshare.evidence.templates import fill
from softshare.files import project_root, write_text
from softshare.names import WideResNetName, parse_model_name
from softshare.plan import FIGURES, Experiment
from softshare.runfiles import SIMILARITY

_LARGEST_SVG = 600_000  # bytes; a larger drawing is carried as PNG
_MIME = {"svg": "image/svg+xml", "png": "image/png"}


def write_page(
    evidence: Evidence,
    judged: Judged,
    tables: list[Table],
    context: dict[str, Any],
    results: Path,
    out: Path,
    *,
    standalone: bool = True,
) -> Path:
    """Writes `report.html`.

    Args:
        evidence: All runs of the plan.
        judged: The paper's claims, judged.
        tables: Its tables.
        context: What the Markdown report is made of; see `report.write_report`.
        results: `results/<scale>`.
        out: The file to write; its links are relative to it.
        standalone: Whether it holds its drawings, so that it can be sent alone; else it links to them.

    Returns:
        The file written.

    Raises:
        UserError: It cannot be written.
    """
    templates = project_root() / "reports" / "templates"
    figures = {each["name"]: each for each in context["figures"]}
    numbers: dict[str, Any] = {}
    text = fill(
        "report.html.j2",
        context
        | {
            "claims": _claims(judged),
            "tables": [_table(table, told) for table, told in zip(tables, context["tables"], strict=True)],
            "figures": [
                _figure(each, figures[each.name], evidence, results, numbers)
                | {"picture": _picture(each.name, results, None if standalone else out.parent)}
                for each in evidence.plan.of_kind(*FIGURES)
            ],
            "runs": [_run(record) for record in evidence.records.values()],
            "numbers": Markup(_as_script(numbers)),
            "standalone": standalone,
            "style": Markup((templates / "page.css").read_text(encoding="utf-8")),
            "scripts": [Markup((templates / name).read_text(encoding="utf-8")) for name in ("folding.js", "page.js")],
        },
        {"slug": slug},
    )
    write_text(out, text)
    return out


def slug(text: object) -> str:
    """A text as part of an address within the page."""
    return re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-")


def _claims(judged: Judged) -> dict[str, Any]:
    told = to_json(judged)
    for claim in told["claims"]:
        claim["anchors"] = [
            (f"{run['run']}/seed{seed}", f"run-{slug(run['run'])}-seed{seed}")
            for run in claim["runs"]
            for seed in run["seeds"]
        ]
    return told


def _table(table: Table, told: dict[str, Any]) -> dict[str, Any]:
    rows = []
    for entry in table.entries:
        cells = shown(entry, table.beside, table.experiment.compare_with)
        found = getattr(entry, "evidence", None)
        runs = [str(record.run) for record in found.complete] if isinstance(found, CellEvidence) else []
        rows.append({"cells": cells, "runs": runs})
    return {"name": table.experiment.name, "rows": rows, "right": RIGHT, **told}


def _figure(
    experiment: Experiment, told: dict[str, Any], evidence: Evidence, results: Path, numbers: dict[str, Any]
) -> dict[str, Any]:
    moving = []
    if experiment.kind in ("similarity", "folding"):
        for found in evidence.cells[experiment.name]:
            for record in found.complete:
                key = f"run-{slug(record.run)}"
                if key not in numbers:
                    carried = _carried(record, results)
                    if carried is None:
                        continue
                    numbers[key] = carried
                moving.append({"run": str(record.run), "key": key})
    behind = []
    if not moving:  # else each run stands by its drawing
        for found in evidence.cells[experiment.name]:
            runs = [(str(record.run), f"run-{slug(record.run)}") for record in found.complete]
            behind += [{"row": found.cell.row, "runs": runs}] if runs else []
    return {
        **told,
        "behind": behind,
        "kind": experiment.kind,
        "moving": moving,
    }


def _carried(record: Record, results: Path) -> dict[str, Any] | None:
    """Coefficients of a run at each stored epoch, from which the page draws; None where there are none."""
    file = results / record.folder / SIMILARITY
    try:
        similarity = read_similarity(file)
        stored = read_coefficients(file) if similarity.groups else {}
    except UserError:
        return None
    groups = [
        {
            "name": group.name,
            "layers": stored[group.name][0].shape[1],
            "templates": stored[group.name][0].shape[2],
            "size": math.prod(stored[group.name][1]),
            "chance": list(group.chance),
            "coefficients": np.round(stored[group.name][0], 6).tolist(),
        }
        for group in similarity.groups
        if group.name in stored
    ]
    if not groups:
        return None
    layers = _layers(record)
    return {
        "epochs": list(similarity.epochs),
        "parameters": record.metrics["parameters"],
        "layers": layers,
        "groups": groups,
    }


def _layers(record: Record) -> int | None:
    """Convolutions of a WRN, as the paper counts layers; at width 1 its first stage has no shortcut."""
    name = parse_model_name(record.run.setting.model)
    return name.depth - (name.width == 1) if isinstance(name, WideResNetName) else None


def _picture(name: str, results: Path, linked_from: Path | None) -> str | None:
    """A drawing as an address that holds it whole, or that leads to it from a folder."""
    for ending in ("svg", "png"):
        file = results / "figures" / f"{name}.{ending}"
        if file.is_file() and linked_from is not None:
            return quote(Path(os.path.relpath(file, linked_from)).as_posix())
        if file.is_file() and (ending == "png" or file.stat().st_size <= _LARGEST_SVG):
            return f"data:{_MIME[ending]};base64,{base64.b64encode(file.read_bytes()).decode()}"
    return None


def _run(record: Record) -> dict[str, Any]:
    return {
        "name": str(record.run),
        "state": str(record.state.value),
        "reason": record.reason,
        "metrics": json.dumps(record.metrics, indent=2) if record.complete else None,
        "manifest": json.dumps(record.manifest, indent=2) if record.complete else None,
    }


def _as_script(numbers: dict[str, Any]) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(numbers, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
