"""The bill before the run: what it costs to make, how well it holds, and the look at what runs."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from softshare.bench.measure import Measured, median, timed
from softshare.bench.run_folders import write_run_folders
from softshare.evidence.runs.status import Stand, describe_status, read_status
from softshare.forecast.counting import count
from softshare.forecast.measuring import measure_paces
from softshare.forecast.schedule import ScheduledJob, simulate
from softshare.forecast.workload import workload
from softshare.plan import Plan, load_plan
from softshare.runfiles import CHECKPOINT, HISTORY, LOCK, MANIFEST
from softshare.scales import Run, Setting, load_scale
from softshare.training.device import resolve_precision

_RUNS, _GPUS = 2_000, 64
_STATUS_RUNS, _HISTORY_EPOCHS = 200, 200
_STANDS = {Stand.DONE: 100, Stand.FAILED: 50, Stand.RUNNING: 25, Stand.NOT_STARTED: 25}
_LOCAL_SECONDS, _MEASURED_SECONDS = 300.0, 45.0
_LOCAL = Setting("digits", "swrn-28-1-4", "cifar")


def bench_forecast(name: str, rounds: int) -> Iterator[Measured]:
    """`softshare forecast --scale paper` on this machine, from the shell; it takes so long that once is enough."""
    command = [sys.executable, "-m", "softshare", "forecast", "--scale", "paper"]
    (seconds,) = timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL), 1)
    yield Measured(f"{name}.seconds", seconds, "s")


def bench_local_run(name: str, rounds: int) -> Iterator[Measured]:
    """A run of as many epochs as are forecast to take five minutes, against that forecast; once."""
    work = workload(_LOCAL, dataclasses.replace(load_scale("quick"), threads=torch.get_num_threads()))
    device = torch.device("cpu")
    pace = measure_paces({work: count(work)}, {work: 1}, device, resolve_precision("auto", device), _MEASURED_SECONDS)
    an_epoch = pace[work].seconds(work) / work.epochs
    epochs = max(1, round(_LOCAL_SECONDS / an_epoch))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "softshare", "train", "--model", _LOCAL.model, "--dataset", _LOCAL.dataset]
        command += ["--epochs", str(epochs), "--threads", str(torch.get_num_threads()), "--device", "cpu", "--quiet"]
        subprocess.run([*command, "--out", folder], check=True, stdout=subprocess.DEVNULL)
        took = json.loads(Path(folder, MANIFEST).read_text())["device_seconds"]
    yield Measured(f"{name}.deviation", abs(took / (an_epoch * epochs) - 1))


def bench_schedule(name: str, rounds: int) -> Iterator[Measured]:
    """The schedule of many runs of ten lengths, a twentieth of them folded afterwards; and with some on many GPUs."""
    drawn = random.Random(0)
    lengths = [drawn.uniform(600, 30_000) for _ in range(10)]
    narrow = _jobs(drawn, lengths, [1])
    wide = _jobs(drawn, lengths, [1, 1, 1, 2, 4, 8])
    yield median(f"{name}.seconds", timed(lambda: simulate(narrow, _GPUS), rounds), "s")
    schedule = simulate(narrow, _GPUS)
    yield Measured(f"{name}.makespan", schedule.makespan / schedule.bound)
    schedule = simulate(wide, _GPUS)
    yield Measured(f"{name}.wide.makespan", schedule.makespan / schedule.bound)


def _jobs(drawn: random.Random, lengths: list[float], widths: list[int]) -> list[ScheduledJob]:
    jobs = []
    for index in range(_RUNS):
        length = drawn.choice(lengths)
        jobs.append(ScheduledJob(f"train {index}", length, drawn.choice(widths)))
        if index % 20 == 0:
            jobs.append(ScheduledJob(f"fold {index}", length / 20, needs=(f"train {index}",)))
    return jobs


def bench_status(name: str, rounds: int) -> Iterator[Measured]:
    """Where 200 runs stand, read and told: done, at work, failed or not begun; the process's own start is not in it."""
    plan = _many_runs()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        write_run_folders(_of(plan, plan.runs[::2]), results)
        rows = "".join(f"{epoch},0.1,1.5,1.4,40.0,10.0,60.0\n" for epoch in range(1, _HISTORY_EPOCHS + 1))
        for number, run in enumerate(plan.runs[1::2]):
            if number % 4 == 3:
                continue  # not begun
            place, log = results / "runs" / run.folder, results / "logs" / "train" / f"{run}.log"
            place.mkdir(parents=True)
            log.parent.mkdir(parents=True, exist_ok=True)
            header = "epoch,learning_rate,train_loss,test_loss,test_error,test_top5_error,seconds\n"
            (place / HISTORY).write_text(header + rows)
            (place / CHECKPOINT).touch()
            told = "epoch 1/200: train loss 1.500\n" * _HISTORY_EPOCHS
            if number % 2:
                (place / LOCK).write_text("1 on another-node\n")
            else:
                told += "softshare: error: epoch 200: train_loss: nan: is no number\n"
            log.write_text(told)
        seconds = timed(lambda: describe_status(read_status(plan, results), plan.scale.name), rounds)
        stands = Counter(each.stand for each in read_status(plan, results))
    if stands != _STANDS:
        raise RuntimeError(f"the runs stand as {dict(stands)}: this measures something else")
    yield median(f"{name}.seconds", seconds, "s")


def _many_runs() -> Plan:
    """A plan of 200 runs: those of Table 1, under more seeds than it has."""
    plan = load_plan("paper", ["table1"])
    (table,) = plan.experiments
    share = -(-_STATUS_RUNS // len(table.cells))
    settings = [cell.run for cell in table.cells if cell.run is not None]
    return _of(plan, [Run(setting, seed) for setting in settings for seed in range(share)][:_STATUS_RUNS])


def _of(plan: Plan, runs: Sequence[Run]) -> Plan:
    """A plan of these runs alone."""
    (table,) = plan.experiments
    cells = [
        dataclasses.replace(cell, runs=own)
        for cell in table.cells
        if (own := tuple(run for run in runs if run.setting == cell.run))
    ]
    return dataclasses.replace(plan, experiments=(dataclasses.replace(table, cells=tuple(cells)),))
