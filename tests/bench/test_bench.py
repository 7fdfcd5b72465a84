"""The bench's own arithmetic, and that its rows and bounds belong together. No timing is asserted."""

import csv
import json

import pytest
import torch
import yaml

from softshare.bench import measure, runner
from softshare.bench.measure import Measured, alternate, paired_ratio
from softshare.bench.steps import peak_tensor_bytes
from softshare.errors import UserError
from softshare.files import project_root


def test_rounds_alternate_and_turn_round():
    called = []
    seconds = alternate({"a": lambda: called.append("a"), "b": lambda: called.append("b")}, 3)
    assert "".join(called) == "ab" + "ab" + "ba" + "ab"
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}


def test_rounds_go_on_for_the_time_asked(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    assert len(alternate({"a": lambda: None}, 1, at_least_seconds=10)["a"]) > 1


def test_a_ratio_is_the_median_of_pairs():
    assert paired_ratio([2, 30, 4], [1, 10, 4]) == 2


def test_rows_are_held_against_their_bounds(tmp_path, monkeypatch):
    values = {"synthesis.speedup-over-sum": 3.0, "synthesis.time-over-bytes": 1.5, "unbounded": 7.0}
    bench = {"synthesis": lambda name, rounds: (Measured(key, value) for key, value in values.items())}
    monkeypatch.setattr(runner, "BENCHES", bench)
    runner.run_benches(tmp_path)
    rows = list(csv.DictReader((tmp_path / "bench.csv").open()))
    assert list(rows[0]) == ["name", "value", "unit", "bound", "holds"]
    assert [row["holds"] for row in rows] == ["no", "yes", ""]
    assert json.loads((tmp_path / "manifest.json").read_text())["precision"] in ("fp32", "bf16")
    page = (tmp_path / "bench.md").read_text()
    assert "1 bounds hold, 1 are missed" in page and "| **missed** |" in page
    assert "Not measured: dry-run.paper.seconds" in page  # what was not run is said


def test_every_bound_belongs_to_a_bench():
    bounds = yaml.safe_load((project_root() / "config/bench.yaml").read_text())["bounds"]
    for name in bounds:
        assert any(name.startswith(bench) for bench in runner.BENCHES), name
    assert all(any(name.startswith(bench) for name in bounds) for bench in runner.BENCHES)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_its_benches_are_left_out_or_refused(tmp_path, monkeypatch):
    def measured(name, rounds):
        yield Measured(name, 1.0)

    monkeypatch.setattr(runner, "BENCHES", {"synthesis": measured, "gpu.step.swrn-28-10.batch128": measured})
    assert list(runner.run_benches(tmp_path)["name"]) == ["synthesis"]
    assert "gpu.step.swrn-28-10.batch128" in (tmp_path / "bench.md").read_text().partition("Not measured")[2]
    with pytest.raises(UserError, match="there is no GPU here"):
        runner.run_benches(tmp_path, ["gpu"])


@pytest.mark.parametrize("name", ["wrn-16-1", "swrn-16-1"])
def test_peak_counts_at_least_parameters_gradients_and_momentum(name):
    from softshare.models import create_model

    parameters = sum(parameter.numel() for parameter in create_model(name).parameters())
    assert 3 * 4 * parameters < peak_tensor_bytes(name, 2) < 100 * 4 * parameters + 5e7
