"""What plans and watches jobs, as functions of bytes: budgets, times, forecasts, and where a run stands."""

import functools
import json
import math
import platform
import re

from fuzz_target import PLACE, Target, written

from softshare.evidence.forecasts.against_runs import hold, shown
from softshare.evidence.forecasts.reading import read_forecast
from softshare.evidence.runs.status import Stand, describe_status, read_status
from softshare.forecast.budget import parse_budget
from softshare.plan import load_plan
from softshare.runtimes import read_minutes
from softshare.site import minutes_of
from softshare.training.folding import parse_thresholds


def _text(content):
    return content.decode("utf-8", "replace")


def _is_time(value):
    return 0 <= value < math.inf


def _budget(content):
    assert 0 < parse_budget(_text(content)) < math.inf


def _time(content):
    minutes = minutes_of(_text(content))
    assert minutes is None or _is_time(minutes)


def _forecast(content):
    found = read_minutes(written("forecast/forecast.json", content).parent, False).minutes
    assert all(isinstance(run, str) and _is_time(minutes) for run, minutes in found.items())


def _foretold(content):
    found = read_forecast(written("foretold/forecast.json", content).parent, "quick")
    shown(hold(found, []))["of"].encode()
    assert all(0 < each.seconds < math.inf for each in found.runs.values())


def _thresholds(content):
    found = parse_thresholds(_text(content))
    assert found and found == sorted(set(found)) and 0 <= found[0] <= found[-1] <= 1


@functools.cache
def _plan():
    return load_plan("quick", ["figure8"])


def _status(name):
    """What `softshare status` tells of a run, one file of which is fuzzed."""

    def read(content):
        run = _plan().runs[0]
        files = {
            "checkpoint.pt": f"status/runs/{run.folder}/checkpoint.pt",  # so that the run is one that may go on
            "history.csv": f"status/runs/{run.folder}/history.csv",
            ".lock": f"status/runs/{run.folder}/.lock",
            "log": f"status/logs/train/{run}.log",
        }
        for each, file in files.items():
            written(file, content if each == name else _STATUS_FILES[each])
        found = read_status(_plan(), PLACE / "status")
        assert [each.run for each in found] == _plan().runs
        for each in found:
            assert each.seconds_left is None or _is_time(each.seconds_left)
            if each.stand is Stand.RUNNING:
                assert re.fullmatch(r"process [1-9][0-9]*|on .+, last heard of [0-9.]+ (s|min|h) ago", each.why)
        lines = describe_status(found, "quick").split("\n")
        assert len(lines) == 1 + len(found) and all(line.isprintable() for line in lines)

    return read


_STATUS_FILES = {
    "checkpoint.pt": b"",
    "history.csv": b"epoch,train_loss,test_error,seconds,evaluation_seconds\n1,0.5,3.0,2.0,0.1\n2,0.4,2.0,2.0,0.1\n",
    ".lock": f"4194305 on {platform.node()}".encode(),  # a process that cannot be
    "log": b"epoch 1\nsoftshare: stopped by SIGTERM; the same command goes on from the last checkpoint\n",
}
_FORECAST = {"basis": "measured", "cores": 2, "runs": [{"run": "digits/wrn-16-1/cifar/seed0", "wall_seconds": 120}]}
_FORETOLD = {"scale": "quick", "made": "2026-11-20T08:00:00+00:00", "device": "a CPU", "precision": "fp32", "cores": 2}
_FORETOLD |= {
    "runs": [{"run": "digits/wrn-16-1/cifar/seed0", "seconds": 120, "threads": 2}],
    "commit": "b",
    "dirty": True,
}
TARGETS = {
    "budgets": Target(_budget, b"20.5h"),
    "times of Slurm": Target(_time, b"2-12:30:00"),
    "forecasts": Target(_forecast, json.dumps(_FORECAST).encode()),
    "forecasts that runs are held against": Target(_foretold, json.dumps(_FORETOLD).encode()),
    "thresholds": Target(_thresholds, b"0.5:1.0:0.05"),
    **{f"status: {name}": Target(_status(name), _STATUS_FILES[name]) for name in ("history.csv", ".lock", "log")},
}
