"""What every run of a plan takes: operations, hours, memory and disk, on a device measured here or told by a table."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch

from softshare.files import project_root
from softshare.forecast.counting import Counted, count
from softshare.forecast.measuring import Pace, alike, by_operations, measure_paces, whole_run_flops
from softshare.forecast.speed import Speed
from softshare.forecast.workload import Workload, image_counts, workload
from softshare.plan import Plan
from softshare.scales import Run, Setting
from softshare.schemas import read_yaml
from softshare.training.device import keep_freed_memory
from softshare.training.folding import parse_thresholds

_STAGES = 3  # of a Wide ResNet for CIFAR, the networks that are folded


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
class Forecast:
    """A plan's bill.

    Attributes:
        plan: What is to be run.
        speed: What the hours stand on.
        runs: What each run takes, of the plan's and of those asked for besides.
        start_seconds: Of a process before it trains; 0 where that was not measured.
        gpus_per_run: By dataset, where a run takes more than one.
    """

    plan: Plan
    speed: Speed
    runs: dict[Run, RunForecast]
    start_seconds: float
    gpus_per_run: Mapping[str, int] = field(default_factory=dict)

    def of(self, runs: Iterable[Run]) -> list[RunForecast]:
        """What some runs take."""
        return [self.runs[run] for run in runs]


def forecast(plan: Plan, speed: Speed, besides: Iterable[Run] = (), folded_besides: Iterable[Run] = ()) -> Forecast:
    """Makes a plan's bill.

    Args:
        plan: What is to be run.
        speed: What hours come from.
        besides: Runs that the plan does not make.
        folded_besides: Of all these runs, some that the plan does not fold.

    Raises:
        UserError: No run can be measured.
    """
    runs = sorted({*plan.runs, *besides})
    works = {setting: workload(setting, plan.scale) for setting in sorted({run.setting for run in runs})}
    same = alike(works.values())
    counted = {work: count(work) for work in dict.fromkeys(same.values())}
    start = 0.0
    if speed.here is None:
        paces = _told(speed, counted)
    else:
        paces = _measured(speed, speed.here, counted, Counter(same[works[run.setting]] for run in runs))
        start = _start_seconds()
    folded = {run for experiment in plan.of_kind("folding") for run in experiment.runs} | {*folded_besides}
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
    return Forecast(plan, speed, rows, start)


def _told(speed: Speed, counted: dict[Workload, Counted]) -> dict[Workload, Pace]:
    """Paces by operations alone."""
    assert speed.tflops is not None
    how = "operations at the peak rate: the fewest hours possible" if speed.basis == "peak" else "by operations"
    return {work: by_operations(work, cost, 1e12 * speed.tflops, how) for work, cost in counted.items()}


def _measured(
    speed: Speed, device: torch.device, counted: dict[Workload, Counted], runs: dict[Workload, int]
) -> dict[Workload, Pace]:
    """Paces of a device of this machine."""
    keep_freed_memory()
    threads = torch.get_num_threads()
    try:
        return measure_paces(counted, runs, device, speed.precision, speed.seconds)
    finally:
        torch.set_num_threads(threads)


def _start_seconds() -> float:
    """How long a process takes until it can train."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import softshare.training.run"], check=True)
    return time.perf_counter() - start


def _folded_examples(setting: Setting) -> int:
    """Examples that a run's folding takes.

    As it is and at each threshold it is tested on twice and estimated on anew; with one stage folded alone, once.
    """
    settings = read_yaml(project_root() / "config" / "config.yaml", schema="config")["folding"]
    thresholds = {*parse_thresholds(settings["thresholds"]), *parse_thresholds(str(settings["threshold"]))}
    counts = image_counts(setting.dataset)
    at_thresholds = (1 + len(thresholds)) * (2 * counts.test + min(int(settings["reestimate_on"]), counts.train))
    return at_thresholds + _STAGES * counts.test
