"""The bill before the run: what it costs to make, how well it holds, and the look at what runs."""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from softshare.bench.measure import Measured
from softshare.evidence.status import describe_status, read_status
from softshare.forecast.counting import count
from softshare.forecast.measuring import measure_paces
from softshare.forecast.schedule import ScheduledJob, simulate
from softshare.forecast.workload import workload
from softshare.plan import Plan, load_plan
from softshare.scales import Run, Setting, load_scale
from softshare.training.device import resolve_precision

_RUNS, _GPUS = 2_000, 64
_STATUS_RUNS, _HISTORY_EPOCHS = 200, 200
_LOCAL_SECONDS, _MEASURED_SECONDS = 300.0, 45.0
_LOCAL = Setting("digits", "swrn-28-1-4", "cifar")


def bench_forecast(name: str, rounds: int) -> Iterator[Measured]:
    """`softshare forecast --scale paper` on this machine, from the shell; it takes so long that once is enough."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "softshare", "forecast", "--scale", "paper"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    yield Measured(f"{name}.seconds", time.perf_counter() - start, "s")


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
        took = json.loads(Path(folder, "manifest.json").read_text())["device_seconds"]
    yield Measured(f"{name}.deviation", abs(took / (an_epoch * epochs) - 1))


def bench_schedule(name: str, rounds: int) -> Iterator[Measured]:
    """The schedule of many runs of ten lengths, a twentieth of them folded afterwards."""
    drawn = random.Random(0)
    lengths = [drawn.uniform(600, 30_000) for _ in range(10)]
    jobs = []
    for index in range(_RUNS):
        length = drawn.choice(lengths)
        jobs.append(ScheduledJob(f"train {index}", length))
        if index % 20 == 0:
            jobs.append(ScheduledJob(f"fold {index}", length / 20, needs=(f"train {index}",)))
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        schedule = simulate(jobs, _GPUS)
        seconds.append(time.perf_counter() - start)
    yield Measured(f"{name}.seconds", statistics.median(seconds), "s")
    yield Measured(f"{name}.makespan", schedule.makespan / schedule.bound)


def bench_status(name: str, rounds: int) -> Iterator[Measured]:
    """Where 200 runs stand, read and told; the process's own start is not in it."""
    plan = _many_runs()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        rows = "".join(f"{epoch},0.1,1.5,1.4,40.0,10.0,60.0\n" for epoch in range(1, _HISTORY_EPOCHS + 1))
        for run in plan.runs[::2]:
            place, log = results / "runs" / run.folder, results / "logs" / "train" / f"{run}.log"
            place.mkdir(parents=True)
            log.parent.mkdir(parents=True, exist_ok=True)
            header = "epoch,learning_rate,train_loss,test_loss,test_error,test_top5_error,seconds\n"
            (place / "history.csv").write_text(header + rows)
            (place / "checkpoint.pt").touch()
            log.write_text("epoch 1/200: train loss 1.500\n" * _HISTORY_EPOCHS)
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            describe_status(read_status(plan, results), plan.scale.name)
            seconds.append(time.perf_counter() - start)
    yield Measured(f"{name}.seconds", statistics.median(seconds), "s")


def _many_runs() -> Plan:
    """A plan of 200 runs: those of Table 1, under more seeds than it has."""
    plan = load_plan("paper", ["table1"])
    (table,) = plan.experiments
    share = -(-_STATUS_RUNS // len(table.cells))
    cells = [
        dataclasses.replace(cell, runs=tuple(Run(cell.run, seed) for seed in range(share)))
        for cell in itertools.islice(table.cells, _STATUS_RUNS // share)
        if cell.run is not None
    ]
    return dataclasses.replace(plan, experiments=(dataclasses.replace(table, cells=tuple(cells)),))
