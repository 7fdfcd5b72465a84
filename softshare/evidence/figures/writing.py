"""The figures of the paper from the run folders that are there, each as svg, png, pdf, and as plain numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from softshare.evidence.figures.drawing import drawing_style, save_figure
from softshare.evidence.figures.parameters import draw_parameters, parameter_points, parameter_rows, shown_parameters
from softshare.evidence.foldings.runs import draw_folding, folded_runs, folding_rows, shown_folding
from softshare.evidence.paths.figures import draw_paths
from softshare.evidence.paths.runs import curve_rows, path_rows, shown_extrapolation
from softshare.evidence.paths.statistics import epoch_rows, rows_with_anew, shown_statistics
from softshare.evidence.paths.statistics_figure import draw_statistics
from softshare.evidence.runs.gather import Evidence, find_experiment, gather
from softshare.evidence.similarity.figures import draw_similarity, similarity_blocks, similarity_rows
from softshare.evidence.similarity.numbers import shown_similarity
from softshare.files import write_text
from softshare.plan import FIGURES, Plan


def write_figure(plan: Plan, name: str, results: Path, out_dir: Path) -> list[Path]:
    """Writes `<name>.svg`, `<name>.png`, `<name>.pdf` and `<name>.csv` from the run folders that are there.

    Args:
        plan: What was to be run.
        name: An experiment that is no table.
        results: `results/<scale>`.
        out_dir: Where to write.

    Returns:
        The files written.

    Raises:
        UserError: No such figure, the paper's numbers cannot be read, or it cannot be written.
    """
    find_experiment(plan, name, *FIGURES)
    evidence = gather(plan, results)
    with drawing_style():
        figure, rows = _drawn(evidence, name, results)
        files = save_figure(figure, out_dir / name)
    data = out_dir / f"{name}.csv"
    frame = pd.DataFrame(rows, dtype=object) if rows else pd.DataFrame(columns=["row"])
    write_text(data, frame.to_csv(index=False, lineterminator="\n"))
    return [*files, data]


def shown_numbers(evidence: Evidence, name: str, results: Path) -> list[dict[str, str]]:
    """The numbers of a figure for a reader, a row a run or a point; of matrices, one a group and epoch.

    Raises:
        UserError: The paper's numbers cannot be read.
    """
    experiment = evidence.plan.experiment(name)
    if experiment.kind == "folding":
        return list(shown_folding(folded_runs(evidence.cells[name], results)))
    if experiment.kind == "parameters":
        return list(shown_parameters(parameter_points(evidence, experiment)))
    if experiment.kind == "paths":
        return list(shown_extrapolation(path_rows(evidence.cells[name], results)))
    if experiment.kind == "path-statistics":
        return list(shown_statistics(rows_with_anew(path_rows(evidence.cells[name], results))))
    return shown_similarity(evidence.cells[name], results, experiment.shown_at)


def _drawn(evidence: Evidence, name: str, results: Path) -> tuple[Figure, list[dict[str, Any]]]:
    experiment, scale, cells = evidence.plan.experiment(name), evidence.plan.scale, evidence.cells[name]
    title = f"{experiment.title} (scale: {scale.name})"
    if experiment.kind == "folding":
        runs = folded_runs(cells, results)
        return draw_folding(title, runs), list(folding_rows(runs))
    if experiment.kind == "parameters":
        points = parameter_points(evidence, experiment)
        return draw_parameters(experiment, points, scale.name, with_paper=scale.is_paper), list(parameter_rows(points))
    if experiment.kind == "paths":
        rows = path_rows(cells, results)
        return draw_paths(title, rows), list(curve_rows(rows))
    if experiment.kind == "path-statistics":
        rows = rows_with_anew(path_rows(cells, results))
        return draw_statistics(title, rows), list(epoch_rows(rows))
    at = experiment.shown_at
    blocks = [block for found in cells for block in similarity_blocks(found, results, at)]
    return draw_similarity(title, blocks), [row for found in cells for row in similarity_rows(found, results, at)]
