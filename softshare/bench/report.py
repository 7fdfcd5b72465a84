"""What evidence costs: from 200 run folders to the report, with and without its tables and figures."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from softshare.bench.measure import Measured, median, timed
from softshare.bench.project_copy import add_scale, project_copy
from softshare.bench.run_folders import write_run_folders
from softshare.evidence.publishing.everything import build_everything
from softshare.plan import Plan, load_plan

_SEEDS = 5  # at the paper's scale some 200 runs


def bench_report(name: str, rounds: int) -> Iterator[Measured]:
    """`softshare report` as a person calls it; and all evidence, each table and figure drawn anew, in one process."""
    with project_copy() as copy:
        plan = load_plan(add_scale(copy, _SEEDS), root=copy)
        of_bench = Plan(plan.scale, tuple(each for each in plan.experiments if each.name != "table3"))
        results = copy / "results" / plan.scale.name
        count = write_run_folders(of_bench, results)
        anew = timed(lambda: build_everything(of_bench, results), rounds)
        names = [experiment.name for experiment in of_bench.experiments]
        command = [sys.executable, "-m", "softshare", "report", "--scale", plan.scale.name, "--experiments", *names]
        alone = timed(lambda: subprocess.run(command, cwd=copy, check=True, stdout=subprocess.DEVNULL), rounds)
    yield median(f"{name}.seconds", alone, f"s ({count} runs)")
    yield median(f"{name}.with-tables-and-figures.seconds", anew, f"s ({count} runs)")
