"""All evidence of a scale at once, from its run folders."""

from __future__ import annotations

from pathlib import Path

from softshare.evidence.claims.writing import write_claims
from softshare.evidence.figures.writing import write_figure
from softshare.evidence.paths.tables import write_path_table
from softshare.evidence.report import write_report
from softshare.evidence.tables.writing import write_table
from softshare.plan import FIGURES, ON_PATHS, Plan


def build_everything(plan: Plan, results: Path, *, standalone: bool = True) -> None:
    """Writes every table, figure, claim and the report of a scale below its results, as the workflow does.

    Args:
        plan: What was to be run.
        results: `results/<scale>`.
        standalone: Whether the report's page holds its drawings; else it links to those beside it.

    Raises:
        UserError: The paper's numbers or claims cannot be read, or nothing can be written.
    """
    for experiment in plan.of_kind("table"):
        write_table(plan, experiment.name, results, results / "tables")
    for experiment in plan.of_kind(*ON_PATHS):
        write_path_table(plan, experiment.name, results, results / "tables")
    for experiment in plan.of_kind(*FIGURES):
        write_figure(plan, experiment.name, results, results / "figures")
    write_claims(plan, results, results)
    write_report(plan, results, results / "report.md", standalone=standalone)  # last: it carries the figures
