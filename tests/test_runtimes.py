"""Runtimes of a cluster's jobs, as a forecast left them."""

import json

import pytest

from softshare.errors import UserError
from softshare.runtimes import read_minutes

ROW = {"run": "digits/wrn-16-1/cifar/seed0", "wall_seconds": 120}


def test_without_a_forecast_there_are_none(tmp_path):
    assert read_minutes(tmp_path) == {}


def test_a_forecast_gives_minutes(tmp_path):
    (tmp_path / "forecast.json").write_text(json.dumps({"basis": "measured", "runs": [ROW]}))
    assert read_minutes(tmp_path) == {ROW["run"]: 2.0}


def test_a_peak_sets_no_limit(tmp_path):
    (tmp_path / "forecast.json").write_text(json.dumps({"basis": "peak", "runs": [ROW]}))
    assert read_minutes(tmp_path) == {}


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "-1", "1e999", "1" + 400 * "0", "null", '"NaN"'])
def test_a_time_that_is_none_is_refused(tmp_path, seconds):
    text = json.dumps({"basis": "measured", "runs": [ROW]}).replace("120", seconds)
    (tmp_path / "forecast.json").write_text(text)
    with pytest.raises(UserError, match=r"forecast\.json: is no forecast .*; delete it, or write it anew"):
        read_minutes(tmp_path)


@pytest.mark.parametrize("text", ["{}", "[]", '{"basis": "measured", "runs": [{}]}', "nonsense"])
def test_what_is_no_forecast_is_refused(tmp_path, text):
    (tmp_path / "forecast.json").write_text(text)
    with pytest.raises(UserError, match=r"forecast\.json"):
        read_minutes(tmp_path)
