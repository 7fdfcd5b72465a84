"""What every run of a plan takes: operations, hours, memory and disk, on a device measured here or told by a table."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from softshare.errors import require_positive
from softshare.files import project_root, read_yaml
from softshare.forecast.counting import Counted, count
from softshare.forecast.devices import Device, find_device
from softshare.forecast.measuring import Pace, alike, by_operations, measure_paces, whole_run_flops
from softshare.forecast.workload import Workload, image_counts, workload
from softshare.plan import Plan, Run, Setting
from softshare.training.device import describe_device, keep_freed_memory, resolve_device, resolve_precision
from softshare.training.folding import parse_thresholds

_LOCAL = ("auto", "cpu", "mps", "cuda")


@dataclass(frozen=True)
class RunForecast:
    """What a run takes.

    Attributes:
        run: The run.
        threads: CPU threads that it holds.
        steps: Of its training.
        flops: Of training and evaluation.
        seconds: On the device, as a manifest's `device_seconds` counts.
        wall_seconds: With the start of its process, where that was measured.
        fold_seconds: That its folding takes after it; 0 where it is not folded.
        memory_bytes: Least memory of a step in fp32, kernels' workspaces and data left out.
        disk_bytes: That it leaves.
        checkpoint_bytes: That it takes besides while it trains.
        how: How the time was found.
        measured: Whether this very network was timed.
    """

    run: Run
    threads: int
    steps: int
    flops: int
    seconds: float
    wall_seconds: float
    fold_seconds: float
    memory_bytes: int
    disk_bytes: int
    checkpoint_bytes: int
    how: str
    measured: bool


@dataclass(frozen=True)
class Ground:
    """What a forecast's hours stand on.

    Attributes:
        device: Its name in words.
        basis: `measured` here, `sustained` in a training as told by a table, or the `peak` of a data sheet.
        precision: Of the convolutions.
        source: Of a table's figures; how long was measured.
        on_gpu: Whether a run holds a GPU, not cores.
        watts: The most that the device draws; None where nobody tells.
    """

    device: str
    basis: str
    precision: str
    source: str
    on_gpu: bool
    watts: float | None = None


@dataclass(frozen=True)
class Forecast:
    """A plan's bill.

    Attributes:
        plan: What is to be run.
        ground: What the hours stand on.
        runs: What each run takes, of the plan's and of those asked for besides.
        start_seconds: Of a process before it trains; 0 where that was not measured.
    """

    plan: Plan
    ground: Ground
    runs: dict[Run, RunForecast]
    start_seconds: float

    def of(self, runs: Iterable[Run]) -> list[RunForecast]:
        """What some runs take."""
        return [self.runs[run] for run in runs]


def forecast(
    plan: Plan,
    device: str = "auto",
    precision: str = "auto",
    sustained: float | None = None,
    seconds: float = 45.0,
    besides: Iterable[Run] = (),
) -> Forecast:
    """Makes a plan's bill.

    Args:
        plan: What is to be run.
        device: To be measured, if it is one of this machine; else one of `config/devices.yaml`.
        precision: auto, fp32 or bf16.
        sustained: TFLOP/s to reckon with in place of a measurement or a table.
        seconds: How long to measure.
        besides: Runs that the plan does not make.

    Raises:
        UserError: An unknown device or precision, or a speed that is none.
    """
    runs = sorted({*plan.runs, *besides})
    works = {setting: workload(setting, plan.scale) for setting in sorted({run.setting for run in runs})}
    same = alike(works.values())
    counted = {work: count(work) for work in dict.fromkeys(same.values())}
    start = 0.0
    if sustained is not None or device.partition(":")[0] not in _LOCAL:
        ground, paces = _told(device, precision, sustained, counted)
    else:
        ground, paces = _measured(
            device, precision, counted, Counter(same[works[run.setting]] for run in runs), seconds
        )
        start = _start_seconds()
    folded = {run for experiment in plan.of_kind("folding") for run in experiment.runs}
    rows = {}
    for run in runs:
        work = works[run.setting]
        cost, pace = counted[same[work]], paces[same[work]]
        taken = pace.seconds(work)
        folding = start + _folded_examples(run.setting) * pace.evaluation_seconds if run in folded else 0.0
        rows[run] = RunForecast(
            run=run,
            threads=work.threads,
            steps=work.steps,
            flops=whole_run_flops(work, cost),
            seconds=taken,
            wall_seconds=start + taken,
            fold_seconds=folding,
            memory_bytes=cost.memory_bytes(work.batch_size),
            disk_bytes=cost.kept_bytes,
            checkpoint_bytes=cost.checkpoint_bytes,
            how=pace.how,
            measured=pace.measured,
        )
    return Forecast(plan, ground, rows, start)


def _told(
    device: str, precision: str, sustained: float | None, counted: dict[Workload, Counted]
) -> tuple[Ground, dict[Workload, Pace]]:
    """Paces by operations alone."""
    if sustained is not None:
        require_positive(sustained, "sustained")
        ground = Ground(f"a device that sustains {sustained:g} TFLOP/s", "sustained", precision, "as given", True)
        tflops = sustained
    else:
        found: Device = find_device(device)
        resolved, tflops = found.fastest(precision)
        source = " ".join(found.source.split())
        ground = Ground(found.title, found.basis, resolved, source, True, found.watts)
    how = "operations at the peak rate: the fewest hours possible" if ground.basis == "peak" else "by operations"
    return ground, {work: by_operations(work, cost, 1e12 * tflops, how) for work, cost in counted.items()}


def _measured(
    name: str, precision: str, counted: dict[Workload, Counted], runs: dict[Workload, int], seconds: float
) -> tuple[Ground, dict[Workload, Pace]]:
    """Paces of a device of this machine."""
    require_positive(seconds, "seconds")
    keep_freed_memory()
    device = resolve_device(name)
    resolved = resolve_precision(precision, device)
    threads = torch.get_num_threads()
    try:
        paces = measure_paces(counted, runs, device, resolved, seconds)
    finally:
        torch.set_num_threads(threads)
    source = f"measured here for {seconds:g} s, one run alone"
    return Ground(describe_device(device), "measured", resolved, source, device.type == "cuda"), paces


def _start_seconds() -> float:
    """How long a process takes until it can train."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import softshare.training.run"], check=True)
    return time.perf_counter() - start


def _folded_examples(setting: Setting) -> int:
    """Examples that a run's folding takes, as it is and at each threshold: tested on twice, and estimated on anew."""
    settings = read_yaml(project_root() / "config" / "config.yaml", schema="config")["folding"]
    thresholds = {*parse_thresholds(settings["thresholds"]), *parse_thresholds(str(settings["threshold"]))}
    counts = image_counts(setting.dataset)
    return (1 + len(thresholds)) * (2 * counts.test + min(int(settings["reestimate_on"]), counts.train))
