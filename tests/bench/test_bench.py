"""The bench's own arithmetic, and that its rows and bounds belong together. No timing is asserted."""

import csv
import json
import math
import weakref

import pandas as pd
import pytest
import torch
import yaml

from softshare.bench import measure, runner
from softshare.bench.catalogue import BENCHES, Bench
from softshare.bench.measure import Measured, alternate, alternate_fairly, median, paired_ratios, timed
from softshare.bench.page import bench_page
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


def test_being_made_first_favours_none_and_what_was_made_first_is_freed():
    made, alive, at_once = [], weakref.WeakSet(), []

    class Made:
        def __init__(self, name):
            self.name = name
            made.append(name)
            alive.add(self)

        def __call__(self):
            at_once.append(len(alive))

    seconds = alternate_fairly({name: lambda name=name: Made(name) for name in "abc"}, 2)
    assert "".join(made) == "abc" + "cba"
    assert {name: len(times) for name, times in seconds.items()} == {"a": 4, "b": 4, "c": 4}
    assert at_once == [3] * 2 * (3 + 2 * 3)  # the three of the first order are gone when those of the second are called


def test_seconds_belong_to_the_function_that_took_them_in_both_orders(monkeypatch):
    clock = [0]
    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock[0])

    def takes(seconds):
        clock[0] += seconds

    make = {"a": lambda: lambda: takes(1), "b": lambda: lambda: takes(10)}
    assert alternate_fairly(make, 2) == {"a": [1] * 4, "b": [10] * 4}
    assert alternate_fairly(make, 1, at_least_seconds=30) == {"a": [1] * 6, "b": [10] * 6}  # 3 rounds of 11 s an order


def test_each_call_is_timed_by_itself_the_first_too(monkeypatch):
    clock, taken = [0], iter([5, 1, 2])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock[0])
    assert timed(lambda: clock.append(clock.pop() + next(taken)), 3) == [5, 1, 2]


def test_a_ratio_is_the_median_of_pairs_with_their_quartiles():
    assert median("x", paired_ratios([2, 30, 4, 5, 9], [1, 10, 4, 1, 1]), "s") == Measured("x", 3, "s", 2, 5, 5)


def bench_of(name, values, **how):
    return Bench(name, lambda asked, rounds: (Measured(f"{asked}{key}", value) for key, value in values.items()), **how)


def test_rows_are_held_against_their_bounds(tmp_path, monkeypatch):
    values = {".speedup-over-sum": 3.0, ".time-over-bytes": 1.5, ".unbounded": 7.0}
    monkeypatch.setattr(runner, "BENCHES", (bench_of("synthesis", values),))
    runner.run_benches(tmp_path)
    rows = list(csv.DictReader((tmp_path / "bench.csv").open()))
    assert list(rows[0]) == ["name", "value", "unit", "bound", "holds", "low", "high", "rounds"]
    assert [row["holds"] for row in rows] == ["no", "yes", ""]
    assert json.loads((tmp_path / "manifest.json").read_text())["precision"] in ("fp32", "bf16")
    page = (tmp_path / "bench.md").read_text()
    assert "1 bounds hold, 1 are missed" in page and "| **missed** |" in page
    assert "Not measured: dry-run.paper.seconds" in page  # what was not run is said


def test_one_that_is_broken_off_leaves_what_it_had_measured(tmp_path, monkeypatch):
    def broken(asked, rounds):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "BENCHES", (bench_of("synthesis", {".a": 3.0}), Bench("paths", broken)))
    with pytest.raises(KeyboardInterrupt):
        runner.run_benches(tmp_path)
    assert [row["name"] for row in csv.DictReader((tmp_path / "bench.csv").open())] == ["synthesis.a"]
    machine = json.loads((tmp_path / "manifest.json").read_text())
    assert machine["cores"] >= 1 and machine["memory_gib"] > 0 and machine["minutes"] >= 0
    assert f"{machine['cores']} cores, {machine['memory_gib']} GiB; " in (tmp_path / "bench.md").read_text()


def test_every_bound_belongs_to_one_bench():
    bounds = yaml.safe_load((project_root() / "config/bench.yaml").read_text())["bounds"]
    assert {name: len([bench for bench in BENCHES if bench.makes(name)]) for name in bounds} == dict.fromkeys(bounds, 1)
    unbounded = {bench.name for bench in BENCHES if not any(bench.makes(name) for name in bounds)}
    assert all(name.startswith(("parts.", "compiled.", "peak.product")) for name in unbounded)


def test_long_benches_run_where_named_or_all_are_asked_for(tmp_path, monkeypatch, capsys):
    steps = bench_of("step.28-10.batch128", {"": 1.0}, rows=["step.swrn-28-10.batch128"], long=True)
    monkeypatch.setattr(runner, "BENCHES", (bench_of("synthesis", {"": 1.0}), steps))
    assert list(runner.run_benches(tmp_path)["name"]) == ["synthesis"]
    assert "(--all): step.28-10.batch128" in capsys.readouterr().out
    assert list(runner.run_benches(tmp_path, everything=True)["name"]) == ["synthesis", steps.name]
    for start in ("step", "step.28-10", "step.swrn-28-10.batch"):
        assert list(runner.run_benches(tmp_path, [start])["name"]) == [steps.name]
    assert "--all" not in capsys.readouterr().out
    assert list(runner.run_benches(tmp_path, ["synthesis.speedup-over-sum"])["name"]) == ["synthesis"]  # by its row
    with pytest.raises(UserError, match="no such bench"):
        runner.run_benches(tmp_path, ["synthesis-of"])


def test_the_page_tells_spread_and_where_a_step_s_time_goes():
    names = ["x", "once", "parts.wrn-28-2.batch128.data", "parts.wrn-28-2.batch128.synthesis"]
    rows = pd.DataFrame(
        {"name": names, "value": [1.5, 2, 0.25, 0.0], "unit": "ratio", "bound": "", "holds": "", "rounds": [7, 1, 7, 7]}
        | {"low": [1.25, math.nan, 0.2, 0.0], "high": [1.75, math.nan, 0.3, 0.0]}
    )
    machine = {"device": "a CPU", "threads": 2, "precision": "fp32", "finished": "today", "minutes": 0.5}
    page = bench_page(rows, machine, {})
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    assert ["x", "1.5", "1.25 to 1.75", "7", "ratio", "", "no bound"] in cells
    assert ["once", "2", "", "1", "ratio", "", "no bound"] in cells
    assert cells[-3] == ["step", "data", "synthesis"]
    assert cells[-1] == ["wrn-28-2.batch128", "25.0% (20.0% to 30.0%)", "0.0% (0.0% to 0.0%)"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_its_benches_are_left_out_or_refused(tmp_path, monkeypatch):
    on_gpu = bench_of("gpu.step.swrn-28-10.batch128", {"": 1.0})
    monkeypatch.setattr(runner, "BENCHES", (bench_of("synthesis", {"": 1.0}), on_gpu))
    assert list(runner.run_benches(tmp_path)["name"]) == ["synthesis"]
    assert "gpu.step.swrn-28-10.batch128" in (tmp_path / "bench.md").read_text().partition("Not measured")[2]
    with pytest.raises(UserError, match="there is no GPU here"):
        runner.run_benches(tmp_path, ["gpu"])


@pytest.mark.parametrize("name", ["wrn-16-1", "swrn-16-1"])
def test_peak_counts_at_least_parameters_gradients_and_momentum(name):
    from softshare.models import create_model

    parameters = sum(parameter.numel() for parameter in create_model(name).parameters())
    assert 3 * 4 * parameters < peak_tensor_bytes(name, 2) < 100 * 4 * parameters + 5e7
