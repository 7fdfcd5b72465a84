"""Where runs stand, from files alone."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from softshare.bench.run_folders import write_run_folders
from softshare.cli import main
from softshare.evidence.runs.runfolder import read_run
from softshare.evidence.runs.status import Stand, describe_status, read_status
from softshare.plan import load_plan

HISTORY = "epoch,learning_rate,train_loss,test_error,seconds\n1,0.1,2.0,80.0,30.0\n2,0.1,1.5,70.5,30.0\n"


@pytest.fixture
def plan():
    return load_plan("quick", ["table1"])


@pytest.fixture
def at(plan, tmp_path):
    """Lays files of the first run down and looks at it."""
    run = plan.runs[0]
    folder = tmp_path / "runs" / run.folder
    log = tmp_path / "logs" / "train" / f"{run}.log"

    def look(log_text=None, age=0.0, **files):
        folder.mkdir(parents=True)
        for name, text in files.items():
            file = folder / {"lock": ".lock", "history": "history.csv", "checkpoint": "checkpoint.pt"}.get(name, name)
            file = file if file.suffix or name == "lock" else folder / f"{name}.json"
            file.write_text(text)
            os.utime(file, (time.time() - age,) * 2)
        if log_text is not None:
            log.parent.mkdir(parents=True)
            log.write_text(log_text)
        return next(each for each in read_status(plan, tmp_path) if each.run == run)

    return look


def test_nothing_there_is_not_started(plan, tmp_path):
    found = read_status(plan, tmp_path)
    assert {each.stand for each in found} == {Stand.NOT_STARTED} and len(found) == len(plan.runs)
    assert describe_status(found, "quick").startswith(f"scale quick: {len(found)} runs: {len(found)} not started")


def test_what_diverged_has_failed_even_without_a_log(plan, at):
    run = plan.runs[0]
    setting = run.setting
    key = {"dataset": setting.dataset, "model": setting.model, "recipe": setting.recipe, "seed": run.seed}
    told = {"settings": key, "epoch": 3, "reason": "the loss is no number"}
    found = at(diverged=json.dumps(told), checkpoint="")
    assert (found.stand, found.why) == (Stand.FAILED, "diverged in epoch 3: the loss is no number")


def test_runs_are_done_where_the_report_can_use_them(plan, tmp_path):
    write_run_folders(plan, tmp_path)
    spoilt, other, cut = plan.runs[:3]
    (tmp_path / "runs" / spoilt.folder / "metrics.json").write_text("{}")
    (tmp_path / "runs" / cut.folder / "history.csv").unlink()
    shutil.copy(tmp_path / "runs" / cut.folder / "metrics.json", tmp_path / "runs" / other.folder / "metrics.json")
    for found in read_status(plan, tmp_path):
        record = read_run(tmp_path, found.run)
        assert (found.stand is Stand.DONE) == record.complete, found
        if not record.complete:
            assert (found.stand, found.why) == (Stand.FAILED, f"unusable: {record.reason}")
    found = {each.run: each for each in read_status(plan, tmp_path)}
    assert {run for run, each in found.items() if each.stand is Stand.FAILED} == {spoilt, other, cut}
    assert "belongs to another run" in found[other].why and "history.csv is missing" in found[cut].why


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", '{"epochs": 8', "\x00"])
def test_metrics_that_nobody_can_use_are_not_those_of_a_run_that_is_done(at, text):
    found = at(history=HISTORY, metrics=text, log_text="all well\n")
    assert found.stand is Stand.FAILED and found.why.startswith("unusable: m")


def test_a_killed_run_whose_history_snakemake_took_away_tells_how_far_it_came(at):
    text = "epoch 1/8: train loss 2.000, test error 80.00 %\nepoch 2/8: train loss 1.500, test error 70.50 %\nKilled\n"
    found = at(text, checkpoint="", lock="999999999 on " + platform.node())
    assert (found.stand, found.epoch, found.epochs, found.loss) == (Stand.FAILED, 2, 8, 1.5)
    assert found.why.endswith("goes on from its checkpoint when started again")


def test_without_a_checkpoint_it_starts_again_and_has_come_nowhere(at):
    assert at("epoch 2/8: train loss 1.500, test error 70.50 %\nKilled\n").epoch == 0


def test_a_history_alone_is_that_of_a_run_which_starts_again(at):
    found = at(history=HISTORY)
    assert found.stand is Stand.STOPPED and found.why.endswith("starts again from the beginning")


def test_metrics_that_nobody_can_use_may_be_made_anew_just_now(at):
    assert at(history=HISTORY, metrics="{}", lock=f"{os.getpid()} on {platform.node()}").stand is Stand.RUNNING


def test_a_run_whose_process_is_there_is_running(at):
    found = at(history=HISTORY, lock=f"{os.getpid()} on {platform.node()}", checkpoint="x")
    assert found.stand is Stand.RUNNING and str(os.getpid()) in found.why
    assert (found.epoch, found.epochs, found.loss, found.score) == (2, 8, 1.5, "test error 70.5 %")
    assert found.seconds_left == 6 * 30.0


def test_a_run_whose_process_is_gone_is_stopped_and_says_what_it_said_last(at):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    said = "epoch 2/8: train loss 1.500\nsoftshare: stopped by SIGTERM; the same command goes on\n"
    found = at(said, history=HISTORY, lock=f"{process.pid} on {platform.node()}", checkpoint="x")
    assert found.stand is Stand.STOPPED and "SIGTERM" in found.why
    assert "(log: " in describe_status([found], "quick")


def test_a_run_on_another_node_is_judged_by_what_it_wrote_last(at):
    found = at(history=HISTORY, lock="123 on elsewhere", checkpoint="x", age=60)
    assert found.stand is Stand.RUNNING and "on elsewhere, last heard of 60 s ago" in found.why


def test_a_run_on_another_node_that_is_silent_for_long_is_stopped(at):
    assert at(history=HISTORY, lock="123 on elsewhere", checkpoint="x", age=4000).stand is Stand.STOPPED


def test_a_run_on_another_node_in_its_first_epoch_is_running_while_its_lock_is_fresh(at):
    found = at("softshare: begins\n", lock="123 on elsewhere", age=200)
    assert found.stand is Stand.RUNNING and found.epoch == 0


def test_one_that_is_silent_there_before_its_first_epoch_is_stopped(at):
    found = at("softshare: begins\n", lock="123 on elsewhere", age=4000)
    assert found.stand is Stand.STOPPED
    assert found.why == "on elsewhere, last heard of 67 min ago; its log ends with: softshare: begins"


def test_likewise_where_it_has_no_log(at):
    found = at(lock="123 on elsewhere", age=4000)
    assert (found.stand, found.why) == (Stand.STOPPED, "on elsewhere, last heard of 67 min ago; it has no log")


def test_it_has_failed_where_its_log_says_so(at):
    assert at("softshare: error: no memory\n", lock="123 on elsewhere", age=4000).stand is Stand.FAILED


def test_a_failed_run_tells_why(at):
    found = at("Traceback\nsoftshare: error: data: no such file\n")
    assert found.stand is Stand.FAILED and found.why == "softshare: error: data: no such file"
    assert str(found.log).endswith("seed0.log")


def test_an_error_stands_before_a_checkpoint(at):
    found = at("softshare: error: the loss is no number at epoch 3, step 1\n", history=HISTORY, checkpoint="x")
    assert found.stand is Stand.FAILED and "no number" in found.why


OOM = "Traceback (most recent call last):\n  File 'run.py'\ntorch.OutOfMemoryError: CUDA out of memory.\n"


def test_a_run_that_failed_says_that_it_goes_on_from_its_checkpoint(at):
    found = at(OOM, history=HISTORY, checkpoint="x")
    assert found.stand is Stand.FAILED
    assert found.why == "torch.OutOfMemoryError: CUDA out of memory.; goes on from its checkpoint when started again"


@pytest.mark.parametrize(
    "said",
    [
        "softshare: stopped by SIGTERM; the same command goes on from the last checkpoint\n",
        "slurmstepd: error: *** JOB 1 ON n CANCELLED AT 2026-01-02T03:04:05 DUE TO TIME LIMIT ***\n",
    ],
)
def test_a_run_that_was_ended_before_its_first_checkpoint_has_not_failed(at, said):
    found = at(said)
    assert found.stand is Stand.STOPPED
    assert found.why == f"{said.strip()}; it has no checkpoint yet and starts again from the beginning"


@pytest.mark.parametrize("text", ["", "nonsense", "epoch,train_loss\n1,\n", "\x00\x01"])
def test_a_history_that_cannot_be_read_harms_nothing(at, text):
    found = at(history=text, lock=f"{os.getpid()} on {platform.node()}")
    assert found.stand is Stand.RUNNING
    assert "running" in describe_status([found], "quick")


@pytest.mark.parametrize("seconds", ["nan", "inf", "-30", "1e308"])
def test_a_pace_that_is_none_tells_no_time_that_is_left(at, seconds):
    found = at(history=HISTORY.replace("30.0", seconds), lock=f"{os.getpid()} on {platform.node()}")
    assert found.stand is Stand.RUNNING and found.seconds_left is None


@pytest.mark.parametrize(
    "process",
    ["0", "-1", f"+{os.getpid()}", f"0{os.getpid()}", 5000 * "9"],
    ids=["a group", "all", "a sign", "a leading 0", "too long"],
)
def test_a_lock_that_names_no_process_holds_nothing(at, process):
    """0 and below stand for groups of processes, which are always there."""
    assert at(history=HISTORY, lock=f"{process} on {platform.node()}", checkpoint="x").stand is Stand.STOPPED


def test_nothing_is_told_that_a_terminal_would_obey(at):
    found = at("a \x1b[31mred\x07 line\n", history=HISTORY, lock="1 on \x1b[2Jelsewhere", checkpoint="x", age=4000)
    assert found.stand is Stand.STOPPED and found.why == "a red line"
    assert "\x1b" not in describe_status([found], "quick")


def test_nor_by_a_lock(at):
    found = at(history=HISTORY, lock="1 on \x1b[2Jelsewhere", checkpoint="x", age=60)
    assert found.stand is Stand.RUNNING and found.why.startswith("on ?[2Jelsewhere")


NO_IMAGES = "softshare: error: SOFTSHARE_DATA_DIGITS: '/nope': does not lie on this machine (n1)"


@pytest.fixture
def prepared(tmp_path):
    """Lays down what preparing the digits left, and asks for the status."""

    def say(log_text, made=False, brief=False, started=False):
        results = tmp_path / "quick"
        for name, text in (("logs/data/digits.log", log_text), *((("data/digits.json", "{}"),) if made else ())):
            (tmp_path / name).parent.mkdir(parents=True)
            (tmp_path / name).write_text(text)
        if started:
            write_run_folders(load_plan("quick", ["table1"]), results)
        asked = ["status", "--experiments", "table1", "--results", str(tmp_path)]
        assert main(asked + ["--brief"] * brief) == 0
        return tmp_path / "logs/data/digits.log"

    return say


@pytest.mark.parametrize("brief", [False, True])
def test_data_that_could_not_be_prepared_are_told(prepared, capsys, brief):
    log = prepared(f"looks at digits\n{NO_IMAGES}\n", brief=brief)
    assert capsys.readouterr().out.splitlines()[1] == f"data digits: failed: {NO_IMAGES}; log at {log}"


@pytest.mark.parametrize(
    ("text", "more"),
    [(NO_IMAGES, {"made": True}), (NO_IMAGES, {"started": True}), ("decodes 3 of 7 photographs\n", {}), ("", {})],
    ids=["made since", "not waited for", "at work", "nothing said"],
)
def test_data_that_hinder_nobody_are_not(prepared, capsys, text, more):
    prepared(text, **more)
    assert "data digits" not in capsys.readouterr().out


def test_status_loads_no_torch():
    code = "import sys, softshare.evidence.runs.status; assert not {'torch', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_folder_that_is_not_there_yet_is_told(tmp_path, capsys):
    asked = ["status", "--scale", "quick", "--experiments", "table1", "--results"]
    assert main([*asked, str(tmp_path / "none")]) == 0
    assert f"(no folder {tmp_path / 'none' / 'quick'} yet)" in capsys.readouterr().out.splitlines()[0]
    (tmp_path / "quick").mkdir()
    assert main([*asked, str(tmp_path)]) == 0
    assert "yet" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["", "quick", "quick/runs"])
@pytest.mark.parametrize("make", [Path.touch, os.mkfifo])
def test_what_is_no_folder_is_refused(make, name, tmp_path, capsys):
    place = tmp_path / "results" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    make(place)
    assert main(["status", "--scale", "quick", "--results", str(tmp_path / "results")]) == 2
    assert f"softshare: error: {place}: results: is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watching_ends_quietly(number, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(time, "sleep", lambda _: os.kill(os.getpid(), number))
    assert main(["status", "--watch", "--results", str(tmp_path), "--experiments", "table1"]) == 0
    out, err = capsys.readouterr()
    assert "not started" in out and not err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "1e15", "86401"])
def test_nobody_watches_for_so_long(seconds, tmp_path, capsys):
    assert main(["status", "--watch", seconds, "--results", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("softshare: error: watch: ")
