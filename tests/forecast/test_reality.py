"""The forecast and the runs: what was written before them stands, and they are held against it."""

import json
import shutil
from datetime import datetime, timedelta

import pytest

from softshare.cli import main
from softshare.files import project_root
from softshare.plan import load_plan

TOLD = ["forecast", "--experiments", "figure4", "--device", "gtx-1080-ti"]
DEVICE, PRECISION = "NVIDIA GeForce GTX 1080 Ti", "fp32"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A complete run, made with what `softshare train` makes one with."""
    (run, *_) = load_plan("quick", ["figure4"]).runs
    folder, setting = tmp_path_factory.mktemp("trained") / "run", run.setting
    command = ["train", "--model", setting.model, "--dataset", setting.dataset, "--recipe", setting.recipe]
    assert main([*command, "--scale", "quick", "--epochs", "1", "--quiet", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def put(trained, tmp_path):
    """Puts that run into the results, its manifest changed."""

    def put_it(**changes):
        (run, *_) = load_plan("quick", ["figure4"]).runs
        folder = tmp_path / "quick/runs" / run.folder
        shutil.copytree(trained, folder, dirs_exist_ok=True)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest |= {"device": DEVICE, "precision": PRECISION, "identity": {"device": "cuda"}} | changes
        manifest["stretches"][0]["device"] = manifest["device"]
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return manifest["device_seconds"]

    return put_it


@pytest.fixture
def forecast(tmp_path, capsys):
    """Gives the status of the command, what it printed and what it said of errors."""

    def make(*more):
        capsys.readouterr()
        return (main([*TOLD, "--results", str(tmp_path), *more]), *capsys.readouterr())

    return make


@pytest.fixture
def written(forecast, tmp_path):
    """What was written before the runs."""
    status, out, _ = forecast("--out")
    assert status == 0 and "Forecast and reality" not in out
    return json.loads((tmp_path / "quick/forecast.json").read_text())


def shifted(written, seconds):
    return (datetime.fromisoformat(written["made"]) + timedelta(seconds=seconds)).isoformat()


def test_a_forecast_tells_the_code_and_the_command_that_made_it(written):
    assert written["commit"] is None or len(written["commit"]) == 40
    assert {"dirty", "versions", "argv", "platform"} <= written.keys()
    assert str(project_root()) not in json.dumps(written)


def test_reality_stands_beside_a_forecast_made_after_it(put, forecast):
    took = put()
    status, out, _ = forecast()
    assert status == 0 and "above, made after the runs" in out and "Made after the runs, it is judged by none" in out
    (total,) = [line for line in out.splitlines() if "in all, every run" in line]
    assert f"| {took:.1f} " in total and total.split("|")[2].strip() == "1" and "within" not in out


@pytest.mark.parametrize(("share", "verdict"), [(1.04, "1.04: within 15 %"), (1.3, "1.30: beyond 15 %")])
def test_a_run_made_after_the_forecast_is_held_against_it(share, verdict, written, put, forecast):
    row = written["runs"][0]
    put(started=shifted(written, 0), device_seconds=share * row["seconds"])
    _, out, _ = forecast()
    assert f"Of the forecast made {written['made']}" in out and f"for {DEVICE}, {PRECISION}" in out
    assert f"1 of 1 run: in all took/forecast = {verdict}." in out
    assert written["commit"] is None or f"commit {written['commit'][:12]}" in out


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"device": "NVIDIA H200"}, "1 run on NVIDIA H200, fp32"),
        ({"precision": "bf16"}, f"1 run on {DEVICE}, bf16"),
        ({"started": "2020-01-01T00:00:00+00:00"}, "1 run started before the forecast"),
    ],
    ids=["device", "precision", "started"],
)
def test_what_is_not_held_against_it_is_counted(changes, told, written, put, forecast):
    put(**{"started": shifted(written, 60)} | changes)
    _, out, _ = forecast()
    assert f"- not held against it: {told}\n" in out
    assert "0 of" in out and "took/forecast" not in out and "in all, every run" not in out


def test_a_forecast_that_a_run_was_made_after_is_not_replaced(written, put, forecast, tmp_path):
    put(started=shifted(written, 60))
    file = tmp_path / "quick/forecast.json"
    kept = {path: path.read_bytes() for path in file.parent.glob("forecast.*")}
    status, _, error = forecast("--out")
    assert status == 2 and error.count("\n") == 1
    assert "forecast.json: made: " in error and "1 complete run, " in error and "delete it" in error
    assert {path: path.read_bytes() for path in file.parent.glob("forecast.*")} == kept and len(kept) == 2
    assert forecast()[0] == 0  # it may be looked at
    file.unlink()
    assert forecast("--out")[0] == 0 and json.loads(file.read_text())["made"] >= written["made"]


@pytest.mark.parametrize(
    "changes",
    [
        lambda written: {"started": shifted(written, -60)},
        lambda written: {"started": shifted(written, 60), "device": "NVIDIA H200"},
    ],
    ids=["before", "elsewhere"],
)
def test_a_forecast_that_no_run_is_held_against_is_replaced(changes, written, put, forecast, tmp_path):
    file = tmp_path / "quick/forecast.json"
    file.write_text(json.dumps(written | {"source": "of old"}))
    put(**changes(written))
    assert forecast("--out")[0] == 0
    assert json.loads(file.read_text())["source"] != "of old"


def test_it_is_refused_before_anything_is_counted(written, put, forecast, monkeypatch):
    put(started=shifted(written, 60))
    monkeypatch.setattr("softshare.forecast.predict.count", lambda work: pytest.fail("it was counted first"))
    assert forecast("--out")[0] == 2


def test_a_damaged_forecast_is_one_line(written, forecast, tmp_path):
    for damage in ("made", "device", "runs"):
        (tmp_path / "quick/forecast.json").write_text(json.dumps(written | {damage: None}))
        status, _, error = forecast()
        assert status == 2 and error.count("\n") == 1
        assert "forecast.json: is no forecast (" in error and "delete it" in error


def test_a_speed_that_leaves_no_seconds_is_one_line(capsys, tmp_path):
    told = ["forecast", "--experiments", "figure4", "--sustained", "1e300", "--results", str(tmp_path), "--out"]
    assert main(told) == 2
    error = capsys.readouterr().err
    assert "out of range" in error and error.count("\n") == 1 and not list(tmp_path.iterdir())
