"""The command: what it prints and writes, what it measures, and what it says to bad input."""

import json
import re

import pytest
import torch

from softshare.cli import main
from softshare.forecast import bill, speed
from softshare.forecast.counting import count
from softshare.forecast.devices import read_devices
from softshare.forecast.makespan import makespan, peak_disk
from softshare.forecast.measuring import Pace, alike, measure_paces
from softshare.forecast.power import seeds_needed
from softshare.forecast.predict import Forecast, RunForecast, forecast
from softshare.forecast.speed import Speed, settle
from softshare.forecast.workload import workload
from softshare.plan import load_plan
from softshare.runtimes import read_minutes
from softshare.scales import Run, Setting, load_scale

TOLD = ["forecast", "--experiments", "figure4", "--device", "gtx-1080-ti"]


def test_a_bill_is_written_and_read_back(tmp_path, capsys):
    assert main([*TOLD, "--gpus", "2", "--results", str(tmp_path), "--out"]) == 0
    out = capsys.readouterr().out
    assert "figure4" in out and "GTX 1080 Ti" in out and (tmp_path / "quick" / "forecast.md").is_file()
    made = json.loads((tmp_path / "quick" / "forecast.json").read_text())
    runs = load_plan("quick", ["figure4"]).runs
    assert [row["run"] for row in made["runs"]] == [str(run) for run in runs]
    (row, *_) = made["runs"]
    work = workload(runs[0].setting, load_scale("quick"))
    cost, steps = count(work), work.train_seen / work.batch_size  # an epoch's short last step by its share
    flops = steps * cost.step_flops + work.train_seen * cost.example_flops
    flops += work.evaluated_examples * cost.forward_flops
    assert row["seconds"] == pytest.approx(flops / 13.3e12)
    assert row["flops"] >= flops
    assert made["makespan_seconds"] >= made["makespan_bound_seconds"] > 0
    assert read_minutes(tmp_path / "quick", True).minutes == {
        each["run"]: each["wall_seconds"] / 60 for each in made["runs"]
    }


def test_claims_and_a_budget(tmp_path, capsys):
    claim = "structure-emerges"
    assert main([*TOLD, "--results", str(tmp_path), "--claims", claim, "--budget", "1h"]) == 0
    out = capsys.readouterr().out
    assert "1 claims for" in out and "no choice answers more for less" in out and "0, 1, 2" in out


IMAGENET = ["forecast", "--scale", "paper", "--experiments", "table3", "--sustained", "100"]


def test_a_run_on_several_gpus_holds_them_for_its_even_part_of_the_time(tmp_path, capsys):
    def makespan(*more):
        assert main([*IMAGENET, "--results", str(tmp_path), "--out", *more]) == 0
        made = json.loads((tmp_path / "paper/forecast.json").read_text())
        longest = max(row["seconds"] for row in made["runs"])
        return made, made["makespan_seconds"], longest, capsys.readouterr().out

    one, alone, longest, out = makespan("--gpus", "8")
    assert alone == pytest.approx(longest) and one["gpus_per_run"] == {} and "evenly" not in out  # 6 runs, beside
    eight, together, _, out = makespan("--gpus-per-run", "imagenet=8")
    assert eight["gpus"] == 8 and eight["gpus_per_run"] == {"imagenet": 8}
    assert together == pytest.approx(sum(row["seconds"] for row in eight["runs"]) / 8)
    assert eight["runs"] == one["runs"]  # limits divide by what the config says
    assert "on imagenet 8 GPUs" in out and "is taken to divide evenly" in out


@pytest.fixture
def configured(monkeypatch, tmp_path):
    """Has config.yaml give runs on the digits four GPUs and runs on ImageNet, of which none is planned, eight."""
    text = (bill.project_root() / "config/config.yaml").read_text()
    assert "gpus: {imagenet: 1}" in text
    (tmp_path / "project/config").mkdir(parents=True)
    place = tmp_path / "project/config/config.yaml"
    place.write_text(text.replace("gpus: {imagenet: 1}", 'gpus: {digits: "4", imagenet: 8}'))
    monkeypatch.setattr(bill, "project_root", lambda: tmp_path / "project")


@pytest.mark.parametrize(
    ("told", "held"), [([], {"digits": 4}), (["digits=2"], {"digits": 2}), (["digits=1"], {})], ids=str
)
def test_a_run_holds_as_many_gpus_as_the_config_says_unless_it_is_told(told, held, configured, tmp_path, capsys):
    more = ["--gpus-per-run", *told] if told else []
    assert main([*TOLD, *more, "--results", str(tmp_path), "--out"]) == 0
    made = json.loads((tmp_path / "quick/forecast.json").read_text())
    assert made["gpus_per_run"] == held and made["gpus"] == max(held.values(), default=1)
    assert ("A run holds on digits" in capsys.readouterr().out) == bool(held)


def test_fewer_gpus_than_the_config_gives_a_run_are_refused(configured, tmp_path, capsys):
    assert main([*TOLD, "--gpus", "2", "--results", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "gpus: 2: a run holds 4 of them" in error and "gpus of config/config.yaml" in error


def test_runs_that_hold_cores_are_asked_for_no_gpus(configured):
    plan, on_cpu = load_plan("quick", ["figure4"]), Speed("a CPU", "measured", "fp32", "", False)
    assert bill._gpus_per_run((), plan, on_cpu) == {}


@pytest.mark.parametrize("gpus", [1, 2, 99])
def test_the_most_disk_is_told_beside_what_is_kept(gpus, tmp_path, capsys):
    assert main([*TOLD, "--gpus", str(gpus), "--results", str(tmp_path), "--out"]) == 0
    made = json.loads((tmp_path / "quick/forecast.json").read_text())
    peak, runs = made["peak_disk_bytes"], made["runs"]
    kept, checkpoints = (sum(row[name] for row in runs) for name in ("disk_bytes", "checkpoint_bytes"))
    assert kept < peak <= kept + 2 * checkpoints
    if gpus == 1:  # at the end of the run that is made last, or of one before it whose checkpoint is larger
        assert peak <= kept + 2 * max(row["checkpoint_bytes"] for row in runs)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Disk: at most")]
    assert f"{peak / 1e9:.2f} GB at once" in line and "Not counted: datasets, their caches and .beton" in line


def test_the_most_disk_is_that_of_the_fullest_moment():
    def row(seed, seconds, kept, checkpoint):
        run = Run(Setting("digits", "wrn-16-1", "cifar"), seed)
        return RunForecast(run, 1, 1, 1, seconds, seconds, 0.0, 1, kept, checkpoint, "", False)

    rows = [row(0, 10.0, 3, 50), row(1, 4.0, 5, 7), row(2, 5.0, 11, 13)]
    told = Speed("a GPU", "sustained", "fp32", "as given", True, tflops=1.0)
    made = Forecast(load_plan("quick", ["figure4"]), told, {each.run: each for each in rows}, 0.0)

    def peak(units):
        return peak_disk(made, made.runs, makespan(made, made.runs, units))

    assert peak(1) == 3 + 100  # as the longest ends, which is the first
    # It trains beside the others: the third ends at 5 s, then comes the second, whose files are kept at 9 s.
    assert peak(2) == max(100 + 26 + 11, 100 + 11 + 14 + 5)
    assert peak(3) == max(100 + 26 + 14 + 5, 100 + 26 + 5 + 11)


def test_a_part_of_a_scale_says_so_and_takes_no_whole_one_s_place(tmp_path, capsys):
    more = ["forecast", "--sustained", "1", "--experiments", "figure4", "figure8", "--results", str(tmp_path), "--out"]
    less = [*TOLD, "--results", str(tmp_path), "--out"]
    assert main(less) == 0
    assert "Of these experiments only: figure4." in (tmp_path / "quick/forecast.md").read_text()
    assert main(more) == 0
    file = tmp_path / "quick/forecast.json"
    kept = file.read_bytes()
    assert json.loads(kept)["experiments"] == ["figure4", "figure8"]
    capsys.readouterr()
    assert main(less) == 2
    err = capsys.readouterr().err
    assert "forecast.json: experiments: tells of" in err and err.count("\n") == 1 and file.read_bytes() == kept


@pytest.mark.parametrize("kind", ["folding", "folding-saves"])
def test_a_claim_on_folding_costs_its_folding_too(kind, tmp_path, capsys):
    """Also where the plan folds nothing."""
    claims = {need.claim: need for need in seeds_needed() if need.kind == kind}
    plan = load_plan("compact", ["table1"])
    claim = next(name for name, need in claims.items() if plan.scale.stand_in(need.settings[0]))
    command = ["forecast", "--scale", "compact", "--experiments", "table1", "--sustained", "0.001"]
    assert main([*command, "--results", str(tmp_path), "--claims", claim, "--budget", "900d"]) == 0
    bought = capsys.readouterr().out.partition("hours buy")[2]
    assert re.search(r"\| train +\| 0, 1, 2", bought) and re.search(r"\| fold +\| 0, 1, 2", bought)
    runs = [Run(plan.scale.stand_in(claims[claim].settings[0]), seed) for seed in range(3)]
    rows = forecast(plan, settle("auto", "auto", 0.001, 1.0), runs, runs).of(runs)
    assert all(row.fold_seconds > 0 for row in rows)
    hours = sum(row.wall_seconds + row.fold_seconds for row in rows) / 3600
    assert f"1 claims for {hours:.2f} hours, 3 runs" in bought


@pytest.mark.parametrize(
    ("scale", "device", "priced"),
    [
        ("paper", ["--sustained", "120"], True),
        ("paper", ["--device", "gtx-1080-ti"], True),
        ("paper", ["--device", "a100-sxm"], False),
        ("quick", ["--device", "gtx-1080-ti"], False),
    ],
)
def test_hours_of_training_are_bought_where_they_answer(scale, device, priced, tmp_path, capsys):
    """As the judge does: the paper's own training, on the device that the claim names."""
    asked = ["forecast", "--scale", scale, "--experiments", "table4", *device, "--claims", "under-ten-hours"]
    assert main([*asked, "--results", str(tmp_path)]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| under-ten-hours")]
    _, _, _, seeds, hours, why, _ = (cell.strip() for cell in row.split("|"))
    assert seeds == "3" and "only the paper's own training on a GTX 1080 Ti" in why
    assert (float(hours or 0) > 0) == priced


def test_claims_that_need_no_run_are_told_so(tmp_path, capsys):
    claim = next(need.claim for need in seeds_needed() if need.seeds == 0)
    assert main([*TOLD, "--results", str(tmp_path), "--claims", claim, "--budget", "1h"]) == 0
    assert f"No run is needed for: {claim}." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "cpu", "--precision", "fp8"], "unknown precision"),
        (["--device", "cpu", "--gpus", "2"], "hold cores here, not GPUs"),
        (["--device", "cpu", "--cores", "0"], "at least 1"),
        (["--device", "cpu", "--seconds", "0"], "seconds: 0.0: must be a finite number above 0"),
        (["--device", "cpu", "--sustained", "-1"], "above 0"),
        (["--sustained", "1", "--precision", "fp8"], "unknown precision"),
        (["--sustained", "1", "--device", "h100"], "device: 'h100': no device beside --sustained"),
        (["--seconds", "0"], "above 0"),
        (["--device", "cpu", "--gpus-per-run", "digits=2"], "hold cores here"),
        (["--gpus-per-run", "digits=0"], "is no DATASET=N"),
        (["--gpus-per-run", "digits=1\u0662"], "is no DATASET=N"),
        (["--gpus-per-run", "imagenet=2"], "no run of the plan"),
        (["--gpus-per-run", "digits=4", "--gpus", "2"], "gpus: 2: a run holds 4 of them"),
        (["--budget=-3h"], "is no budget"),
    ],
)
def test_bad_input_is_refused_before_anything_is_counted(arguments, words, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("softshare.forecast.predict.count", lambda work: pytest.fail("it was counted first"))
    assert main([*TOLD, "--results", str(tmp_path), *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_a_value_that_looks_like_an_option_is_told_its_form(capsys):
    with pytest.raises(SystemExit) as ended:
        main([*TOLD, "--budget", "-3h"])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and "--NAME=VALUE" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "gtx-1080"], "unknown device"),
        (["--gpus", "-1"], "at least 1"),
        (["--cores", "2"], "a GPU here, not cores"),
        (["--budget", "20"], "is no budget"),
        (["--budget", "1m", "--claims", "best-of-table-2"], "buys no claim"),
        (["--claims", "no-such-claim"], "unknown claim"),
        (["--sustained", "0"], "above 0"),
        (["--precision", "bf16"], "is not told"),
        (["--experiments", "table9"], "unknown experiment"),
    ],
)
def test_bad_input_gets_one_line(arguments, words, tmp_path, capsys):
    assert main([*TOLD, "--results", str(tmp_path), *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "watts"), [("cuda:1", 300.0), ("cpu", None)])
def test_a_gpu_that_is_measured_draws_at_most_what_its_driver_allows(name, watts, monkeypatch):
    monkeypatch.setattr(speed, "resolve_device", torch.device)
    monkeypatch.setattr(speed, "resolve_precision", lambda precision, device: "fp32")
    monkeypatch.setattr(speed, "describe_device", str)
    monkeypatch.setattr(speed, "power_limit", lambda index, environment: {1: 300.0}[index])
    assert settle(name, "auto", None, 1.0).watts == watts


def test_every_device_tells_its_source():
    assert all(device.source and device.tflops for device in read_devices().values())


@pytest.mark.slow
def test_paces_are_measured_with_the_real_engines():
    scale = load_scale("quick")
    settings = [Setting("digits", "swrn-16-1-1", "cifar"), Setting("shortest-paths", "cnn-8", "paths")]
    counted = {work: count(work) for work in (workload(setting, scale) for setting in settings)}
    paces = measure_paces(counted, dict.fromkeys(counted, 1), torch.device("cpu"), "fp32", 1.0)
    assert paces.keys() == counted.keys()
    assert all(pace.step_seconds > 0 and pace.evaluation_seconds > 0 for pace in paces.values())
    assert any(pace.measured for pace in paces.values())


def test_one_measurement_serves_all_whose_steps_are_alike():
    scale = load_scale("quick")
    recipes = ("cifar", "cifar-normal", "cifar-cutout", "cifar-dropout")
    works = [workload(Setting("digits", "swrn-22-1", recipe), scale) for recipe in recipes]
    same = alike(works)
    assert same[works[0]] is same[works[1]] is same[works[2]] and same[works[3]] is works[3]


def test_a_pace_counts_a_short_last_batch_by_its_share():
    work = workload(Setting("digits", "wrn-16-1", "cifar"), load_scale("quick"))
    assert Pace(1.0, 0.0, "", True).seconds(work) == pytest.approx(8 * 1437 / 128)
    assert Pace(0.0, 1.0, "", True).seconds(work) == pytest.approx(8 * 360)
