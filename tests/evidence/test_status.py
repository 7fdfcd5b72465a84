"""Where runs stand, from files alone."""

import os
import platform
import subprocess
import sys
import time

import pytest

from softshare.evidence.status import Stand, describe_status, read_status
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


def test_a_complete_run_is_done(at):
    assert at(history=HISTORY, metrics="{}", log_text="all well\n").stand is Stand.DONE


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


def test_a_failed_run_tells_why(at):
    found = at("Traceback\nsoftshare: error: data: no such file\n")
    assert found.stand is Stand.FAILED and found.why == "softshare: error: data: no such file"
    assert str(found.log).endswith("seed0.log")


def test_an_error_stands_before_a_checkpoint(at):
    found = at("softshare: error: the loss is no number at epoch 3, step 1\n", history=HISTORY, checkpoint="x")
    assert found.stand is Stand.FAILED and "no number" in found.why


@pytest.mark.parametrize("text", ["", "nonsense", "epoch,train_loss\n1,\n", "\x00\x01"])
def test_a_history_that_cannot_be_read_harms_nothing(at, text):
    found = at(history=text, lock=f"{os.getpid()} on {platform.node()}")
    assert found.stand is Stand.RUNNING
    assert "running" in describe_status([found], "quick")


@pytest.mark.parametrize("seconds", ["nan", "inf", "-30", "1e308"])
def test_a_pace_that_is_none_tells_no_time_that_is_left(at, seconds):
    found = at(history=HISTORY.replace("30.0", seconds), lock=f"{os.getpid()} on {platform.node()}")
    assert found.stand is Stand.RUNNING and found.seconds_left is None


@pytest.mark.parametrize("process", ["0", "-1", f"+{os.getpid()}", f"0{os.getpid()}", 5000 * "9"])
def test_a_lock_that_names_no_process_holds_nothing(at, process):
    """0 and below stand for groups of processes, which are always there."""
    assert at(history=HISTORY, lock=f"{process} on {platform.node()}", checkpoint="x").stand is Stand.STOPPED


def test_nothing_is_told_that_a_terminal_would_obey(at):
    found = at("a \x1b[31mred\x07 line\n", history=HISTORY, lock="1 on \x1b[2Jelsewhere", checkpoint="x", age=4000)
    assert found.stand is Stand.STOPPED and found.why == "a ?[31mred? line"
    assert "\x1b" not in describe_status([found], "quick")


def test_nor_by_a_lock(at):
    found = at(history=HISTORY, lock="1 on \x1b[2Jelsewhere", checkpoint="x", age=60)
    assert found.stand is Stand.RUNNING and found.why.startswith("on ?[2Jelsewhere")


def test_status_loads_no_torch():
    code = "import sys, softshare.evidence.status; assert not {'torch', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_watching_ends_cleanly(monkeypatch, tmp_path, capsys):
    from softshare.cli import main

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    assert main(["status", "--watch", "--results", str(tmp_path), "--experiments", "table1"]) == 0
    assert "not started" in capsys.readouterr().out
    assert main(["status", "--watch", "0", "--results", str(tmp_path)]) == 2
