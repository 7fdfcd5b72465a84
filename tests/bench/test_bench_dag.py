"""What the benches of DAG and report stand on: arithmetic, and complete run folders. No timing is asserted."""

import pytest

from softshare.bench.dag import growth
from softshare.bench.project_copy import add_scale, project_copy, snakemake
from softshare.bench.run_folders import write_run_folders
from softshare.errors import UserError
from softshare.evidence.foldings.runs import folded_runs
from softshare.evidence.paths.runs import path_rows
from softshare.evidence.runs.gather import gather
from softshare.evidence.runs.runfolder import State
from softshare.evidence.similarity.figures import stored_similarity
from softshare.plan import load_plan


def test_growth_is_1_where_each_run_takes_as_long():
    runs = [200, 500, 1000, 2000]
    assert growth(runs, [2 + 0.01 * count for count in runs], 2) == pytest.approx(1)
    assert growth(runs, [2 + 1e-6 * count**2 for count in runs], 2) == pytest.approx(4)  # of the square: 2000 / 500


def test_run_folders_are_complete_and_hold_what_figures_read(tmp_path):
    plan = load_plan("quick", ["table1", "figure4", "figure5", "figure5-similarity"])
    assert write_run_folders(plan, tmp_path) == len(plan.runs)
    evidence = gather(plan, tmp_path)
    assert {(record.state, record.reason) for record in evidence.records.values()} == {(State.COMPLETE, "")}
    assert not any(found.departures for cells in evidence.cells.values() for found in cells)
    shared = [record for record in evidence.records.values() if record.run.setting.model.startswith("s")]
    assert shared and all(stored_similarity(record, tmp_path)[0] for record in shared)
    assert any(run.folded for run in folded_runs(evidence.cells["figure4"], tmp_path))
    assert all(row.scores for row in path_rows(evidence.cells["figure5"], tmp_path))


def test_a_copy_takes_more_seeds_and_says_what_went_wrong():
    with project_copy() as copy:
        few, many = (load_plan(add_scale(copy, seeds), root=copy) for seeds in (5, 7))
        assert {run.seed for run in many.runs} == set(range(7)) and len(many.runs) > len(few.runs) > 180
        with pytest.raises(UserError, match="snakemake failed"):
            snakemake(copy, "-n", "--config", "scale=none")
