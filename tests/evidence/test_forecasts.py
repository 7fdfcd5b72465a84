"""A forecast against its runs: only what is like it and came after it, judged by the bound that was fixed."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softshare.errors import UserError
from softshare.evidence.forecasts.against_runs import WITHIN, hold, shown
from softshare.evidence.forecasts.reading import Foretold, moment, parse_forecast, read_forecast
from softshare.evidence.runs.checks import UnusableError
from softshare.evidence.runs.runfolder import Record, State
from softshare.scales import Run, Setting

RUNS = [Run(Setting("digits", model, "cifar"), seed) for model in ("wrn-16-1", "swrn-16-1-1") for seed in range(3)]
MADE = datetime.fromisoformat("2026-11-27T12:00:00+00:00")


def content(**changes):
    rows = [{"run": str(run), "seconds": 100.0, "threads": 2} for run in RUNS]
    told = {
        "scale": "quick",
        "made": MADE.isoformat(),
        "device": "a card",
        "precision": "bf16",
        "gpus": 1,
        "runs": rows,
    }
    return {**told, **changes}


def foretold(**changes) -> Foretold:
    return parse_forecast(content(**changes), "quick")


def on_cpu(**changes) -> Foretold:
    told = content(cores=2, **changes)
    del told["gpus"]
    return parse_forecast(told, "quick")


def record(run: Run, seconds: float = 104.0, state: State = State.COMPLETE, **changes) -> Record:
    manifest = {"device": "a card", "precision": "bf16", "threads": 1, "processes": 1, "device_seconds": seconds}
    manifest |= {"started": MADE.isoformat(), "identity": {"device": "cuda"}} | changes
    return Record(run, Path("runs") / run.folder, state, manifest=manifest if state is State.COMPLETE else {})


def lines(*records: Record, of: Foretold | None = None) -> list[str]:
    return shown(hold(of or foretold(), records))["left_out"]


def total(*seconds: float) -> str:
    return shown(hold(foretold(), map(record, RUNS, seconds)))["total"]


def test_all_runs_together_are_judged() -> None:
    assert total(*[104.0] * 6) == "6 of 6 runs: in all took/forecast = 1.04: within 15 %."
    # One alone may be far off.
    assert total(500.0, *[20.0] * 5) == "6 of 6 runs: in all took/forecast = 1.00: within 15 %."
    assert total(*[116.0] * 6).endswith("1.16: beyond 15 %.") and total(*[84.0] * 6).endswith("0.84: beyond 15 %.")
    assert total(*[115.0] * 6).endswith("1.15: within 15 %.") and total(*[85.0] * 6).endswith("0.85: within 15 %.")
    assert total(115.1, *[115.0] * 5).endswith(": beyond 15 %.") and "= 1.15:" not in total(115.1, *[115.0] * 5)


@given(st.floats(0.0, 1e9))
def test_the_ratio_that_is_told_and_its_verdict_agree(seconds: float) -> None:
    told, verdict = total(seconds).removesuffix(" 15 %.").split(" = ")[1].split(": ")
    assert float(told) == pytest.approx(seconds / 100, abs=0.005)
    assert verdict == ("within" if 1 - WITHIN <= float(told) <= 1 + WITHIN else "beyond")
    assert (verdict == "within") == (1 - WITHIN <= seconds / 100 <= 1 + WITHIN)


def test_what_is_not_there_yet_is_said() -> None:
    assert total(104.0, 104.0) == "2 of 6 runs so far: in all took/forecast = 1.04: within 15 %."
    assert total() == "0 of 6 runs so far."
    absent = [record(run, state=State.ABSENT) for run in RUNS]
    assert shown(hold(foretold(), absent))["total"] == "0 of 6 runs so far."
    elsewhere = [record(run, device="another") for run in RUNS[1:]]
    assert shown(hold(foretold(), [record(RUNS[0]), *elsewhere]))["total"].startswith("1 of 6 runs: in all")


def test_means_stand_by_setting_and_sums_below() -> None:
    held = hold(foretold(), [record(RUNS[0], 90.0), record(RUNS[1], 100.0), record(RUNS[3], 120.0)])
    assert shown(held)["rows"] == [
        ["digits/swrn-16-1-1/cifar", "1", "100.0", "120.0", "1.20"],
        ["digits/wrn-16-1/cifar", "2", "100.0", "95.0", "0.95"],
        ["in all, every run", "3", "300.0", "310.0", "1.03"],
    ]


def test_what_is_unlike_the_forecast_is_counted_and_not_compared() -> None:
    others = [
        record(RUNS[1], device="NVIDIA H200", precision="bf16"),
        record(RUNS[2], device="NVIDIA H200", precision="bf16", threads=4),
        record(RUNS[3], precision="fp32"),
        record(RUNS[4], processes=8),
        record(RUNS[5], device="a CPU", identity={"device": "cpu"}),
    ]
    assert lines(record(RUNS[0]), *others) == [
        "not held against it: 2 runs on NVIDIA H200, bf16",
        "not held against it: 1 run on a CPU, bf16, 1 thread",
        "not held against it: 1 run on a card, bf16, 8 processes",
        "not held against it: 1 run on a card, fp32",
    ]
    assert shown(hold(foretold(), [record(RUNS[0]), *others]))["rows"][-1][1] == "1"
    (told,) = lines(*[record(run, device=None, threads=None, identity=None) for run in RUNS])
    assert told == "not held against it: 6 runs on device not recorded, bf16, threads not recorded"


def test_threads_matter_on_a_cpu_alone() -> None:
    alike = [record(RUNS[0], threads=2), record(RUNS[1], threads=1), record(RUNS[2], threads=None)]
    cpu = [record(each.run, **{**each.manifest, "identity": {"device": "cpu"}}) for each in alike]
    assert hold(foretold(), alike).runs == 3 and hold(on_cpu(), cpu).runs == 1
    assert lines(*cpu, of=on_cpu())[0] == "not held against it: 1 run on a card, bf16, 1 thread"


def test_a_run_on_several_gpus_is_compared_where_it_was_forecast_on_as_many() -> None:
    eight = foretold(gpus=8, gpus_per_run={"digits": 8})
    assert hold(eight, [record(RUNS[0], processes=8), record(RUNS[1])]).runs == 1
    # Manifests of one process did not always tell their number.
    old = record(RUNS[0])
    del old.manifest["processes"]
    assert hold(foretold(), [old]).runs == 1


def test_only_runs_that_began_after_it_are_held_against_it() -> None:
    second = timedelta(seconds=1)
    began = [(MADE - second).isoformat(), MADE.isoformat(), (MADE + second).isoformat(), None, "noon", "2026-11-27"]
    found = hold(foretold(), [record(run, started=text) for run, text in zip(RUNS, began, strict=True)])
    assert found.runs == 2 and shown(found)["left_out"] == [
        "not held against it: 1 run started before the forecast",
        "not held against it: 3 runs whose start is not recorded",
    ]
    # An hour later by the clock on the wall, and an hour before it.
    assert hold(foretold(), [record(RUNS[0], started="2026-11-27T13:00:00+02:00")]).runs == 0


def test_runs_of_which_it_does_not_tell_are_counted() -> None:
    further = Run(RUNS[0].setting, 7)
    assert lines(*map(record, RUNS), record(further)) == ["not held against it: 1 run of which it does not tell"]
    assert lines(record(RUNS[0])) == ["not looked at: 5 runs of other experiments"]


def test_a_forecast_says_when_and_with_what_it_was_made() -> None:
    told = shown(hold(foretold(commit="c" * 40, dirty=False), []))["of"]
    assert f"made {MADE.isoformat()} at commit cccccccccccc (clean), for a card, bf16" in told and "15 %" in told
    assert "(with uncommitted changes)" in shown(hold(foretold(commit="c" * 40, dirty=True), []))["of"]
    assert f"made {MADE.isoformat()}, for a card" in shown(hold(foretold(), []))["of"]


def test_one_made_after_the_runs_is_judged_by_none() -> None:
    before = record(RUNS[0], started=(MADE - timedelta(days=1)).isoformat())
    found = shown(hold(foretold(), [before], judged=False))
    assert found["rows"][-1][-1] == "1.04" and "made after the runs" in found["of"]
    assert found["total"] == "Made after the runs, it is judged by none of them." and "15 %" not in str(found)


made_otherwise = st.fixed_dictionaries(
    {},
    optional={
        "device": st.sampled_from(["a card", "NVIDIA H200", None]),
        "precision": st.sampled_from(["bf16", "fp32"]),
        "processes": st.sampled_from([1, 2]),
        "threads": st.integers(1, 3),
        "started": st.sampled_from([MADE.isoformat(), (MADE - timedelta(hours=1)).isoformat(), "", 7]),
    },
)


@given(st.lists(st.tuples(made_otherwise, st.booleans(), st.floats(1, 1e6)), max_size=6), st.booleans())
def test_every_complete_run_is_held_or_counted_once(made, cpu: bool) -> None:
    records = [
        record(run, seconds, State.COMPLETE if complete else State.UNUSABLE, **changes)
        for run, (changes, complete, seconds) in zip(RUNS, made, strict=False)
    ]
    forecast = on_cpu() if cpu else foretold()
    found = hold(forecast, records)
    complete = [each for each in records if each.complete]
    assert found.complete == len(complete) == found.runs + sum(found.left_out.values())
    wanted = {"device": "a card", "precision": "bf16", "processes": 1, "started": MADE.isoformat()}
    wanted |= {"threads": 2} if cpu else {}
    fit = [each for each in complete if {key: each.manifest[key] for key in wanted} == wanted]
    assert found.runs == len(fit) and found.forecast == 100 * len(fit)
    assert found.took == pytest.approx(sum(each.manifest["device_seconds"] for each in fit))
    # Seconds of what is left out change nothing.
    other = [each if each in fit else record(each.run, 1.0, each.state, **dict(each.manifest, device_seconds=9.0))
             for each in records]  # fmt: skip
    assert shown(hold(forecast, other)) == shown(found)


DAMAGE = {
    "of another scale": {"scale": "paper"},
    "without a time": {"made": None},
    "at a time of no zone": {"made": "2026-11-27T12:00:00"},
    "of no runs": {"runs": []},
    "of runs that are no list": {"runs": {"a": 1}},
    "of a run without a name": {"runs": [{"seconds": 1, "threads": 1}]},
    "of a run twice": {"runs": [{"run": "a", "seconds": 1, "threads": 1}] * 2},
    "of no time at all": {"runs": [{"run": "a", "seconds": 0, "threads": 1}]},
    "of nan": {"runs": [{"run": "a", "seconds": float("nan"), "threads": 1}]},
    "of a time in words": {"runs": [{"run": "a", "seconds": "1", "threads": 1}]},
    "of half a thread": {"runs": [{"run": "a", "seconds": 1, "threads": 0.5}]},
    "of a device that is no text": {"device": ["a card"]},
    "of half a character": {"device": "a \ud800"},
    "of a precision that is none": {"precision": None},
    "of GPUs that are no number": {"gpus_per_run": {"digits": "8"}},
    "of a commit that is none": {"commit": 7},
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_forecast_is_one_line(damage, tmp_path: Path) -> None:
    (tmp_path / "forecast.json").write_text(json.dumps(content(**damage)))
    with pytest.raises(UserError, match=r"forecast\.json: is no forecast \(.+\); delete it$") as told:
        read_forecast(tmp_path, "quick")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", ["", "no", "[]", "null", "7", '{"scale": "quick"}', '{"scale": 1, "scale": 2}'])
def test_what_is_no_forecast_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "forecast.json").write_text(text)
    with pytest.raises(UserError, match=r"forecast\.json: is no") as told:
        read_forecast(tmp_path, "quick")
    assert "\n" not in str(told.value)


def test_without_a_file_there_is_none(tmp_path: Path) -> None:
    assert read_forecast(tmp_path, "quick") is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["scale", "made", "device", "precision", "gpus", "runs", "commit", "dirty", "gpus_per_run"]


@given(st.sampled_from(KEYS), anything, st.sampled_from(["run", "seconds", "threads", None]))
def test_whatever_stands_in_it_is_read_or_refused(key: str, value, of_row: str | None) -> None:
    told = content(**{key: value})
    if of_row:
        told = content(runs=[{"run": "a", "seconds": 1.0, "threads": 1, of_row: value}])
    try:
        found = parse_forecast(told, "quick")
    except UnusableError:
        return
    assert all(0 < each.seconds < 1e16 and each.threads >= 1 <= each.processes for each in found.runs.values())
    shown(hold(found, map(record, RUNS)))["of"].encode()


@given(st.datetimes(timezones=st.timezones()) | st.datetimes(), st.datetimes(timezones=st.timezones()))
def test_times_are_read_as_they_were_written(one: datetime, other: datetime) -> None:
    found = moment(one.isoformat())
    if one.tzinfo is None:
        assert found is None
    elif found is not None:  # ISO tells offsets to the second alone
        assert found == one.astimezone(found.tzinfo)
        assert (found < other) in (True, False)
