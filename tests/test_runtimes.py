"""Runtimes of a cluster's jobs, as a forecast left them."""

import json

import pytest

from softshare.errors import UserError
from softshare.runtimes import read_minutes

ROW = {"run": "digits/wrn-16-1/cifar/seed0", "wall_seconds": 120, "fold_seconds": 30}


def written(folder, unit, basis="measured"):
    (folder / "forecast.json").write_text(json.dumps({"basis": basis, unit: 2, "runs": [ROW]}))
    return folder


def test_without_a_forecast_there_are_none(tmp_path):
    assert read_minutes(tmp_path, True).minutes == {} and read_minutes(tmp_path, True).note is None


@pytest.mark.parametrize(("unit", "on_gpu"), [("gpus", True), ("cores", False)])
def test_a_forecast_gives_minutes_to_jobs_of_its_kind_of_device(tmp_path, unit, on_gpu):
    found = read_minutes(written(tmp_path, unit), on_gpu)
    assert found.minutes == {ROW["run"]: 2.0} and found.folding == {ROW["run"]: 0.5} and found.note is None
    other = read_minutes(tmp_path, not on_gpu)
    assert other.minutes == {} and "forecast.json: was made for a " in other.note and "minutes_per_run" in other.note


def test_a_peak_sets_no_limit_and_that_is_said(tmp_path):
    found = read_minutes(written(tmp_path, "gpus", "peak"), True)
    assert found.minutes == {} and "forecast.json: tells a data sheet's peak" in found.note


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "-1", "1e999", "1" + 400 * "0", "null", '"NaN"'])
def test_a_time_that_is_none_is_refused(tmp_path, seconds):
    text = json.dumps({"basis": "measured", "cores": 2, "runs": [ROW]}).replace("120", seconds)
    (tmp_path / "forecast.json").write_text(text)
    with pytest.raises(UserError, match=r"forecast\.json: is no forecast .*; delete it, or write it anew"):
        read_minutes(tmp_path, False)


@pytest.mark.parametrize("text", ["{}", "[]", '{"basis": "measured", "runs": []}', '{"gpus": 1, "runs": [{}]}', "no"])
def test_what_is_no_forecast_is_refused(tmp_path, text):
    (tmp_path / "forecast.json").write_text(text)
    with pytest.raises(UserError, match=r"forecast\.json"):
        read_minutes(tmp_path, False)
