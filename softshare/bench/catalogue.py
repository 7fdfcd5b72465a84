"""Every bench: its name, what measures it, and whether a bench of a few minutes leaves it out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from softshare.bench.dag import bench_dry_run, bench_growth, bench_nothing_to_do
from softshare.bench.folding import bench_file, bench_finding, bench_folded_inference
from softshare.bench.forecasting import bench_forecast, bench_local_run, bench_schedule, bench_status
from softshare.bench.gpu import bench_gpu_compiled, bench_gpu_recorded, bench_gpu_step
from softshare.bench.inference import bench_inference, bench_start_from_weights
from softshare.bench.loading import bench_beton, bench_loading, bench_waiting
from softshare.bench.measure import Measured
from softshare.bench.memory import bench_training_memory
from softshare.bench.paths import bench_path_data, bench_path_evaluation, bench_path_step, bench_path_throughput
from softshare.bench.peak import bench_peak, bench_product
from softshare.bench.photographs import bench_photographs
from softshare.bench.report import bench_report
from softshare.bench.step_parts import bench_parts
from softshare.bench.steps import bench_compiled, bench_memory, bench_steps, bench_throughput
from softshare.bench.synthesis import bench_synthesis


@dataclass(frozen=True)
class Bench:
    """What measures some rows.

    Attributes:
        name: What it is called by; its rows' names begin so, but for those of `rows`.
        measure: Takes this name and the number of rounds.
        rows: Names of rows that do not begin so.
        long: Is left out of a bench of a few minutes: run where it is named, or all are asked for.
    """

    name: str
    measure: Callable[[str, int], Iterator[Measured]]
    rows: Sequence[str] = ()
    long: bool = False

    @property
    def needs_gpu(self) -> bool:
        """Whether it measures a GPU."""
        return self.name.startswith("gpu.")

    def is_meant_by(self, start: str) -> bool:
        """Whether its name or that of a row begins so."""
        return any(name.startswith(start) for name in (self.name, *self.rows)) or self.makes(start)

    def makes(self, row: str) -> bool:
        """Whether it makes a row of this name."""
        return row in self.rows or (not self.rows and (row == self.name or row.startswith(f"{self.name}.")))


def _steps(shape: str, batch: int, long: bool = False) -> Bench:
    rows = [f"step.{model}.batch{batch}" for model in (f"swrn-{shape}", f"swrn-{shape}-2")]
    return Bench(f"step.{shape}.batch{batch}", bench_steps, rows, long)


BENCHES = (
    Bench("dry-run.paper", bench_dry_run),
    Bench("dag.nothing-to-do", bench_nothing_to_do, long=True),
    Bench("dag.growth", bench_growth, long=True),
    Bench("report.200-runs", bench_report, long=True),
    Bench("synthesis", bench_synthesis),
    Bench("loading.speedup", bench_loading),
    Bench("loading.waiting", bench_waiting),
    Bench("loading.beton", bench_beton),
    Bench("loading.photographs", bench_photographs),
    Bench("memory.swrn-28-10.batch16", bench_memory),
    Bench("memory.training.wrn-28-2.batch128", bench_training_memory),
    Bench("inference.swrn-28-2.batch128", bench_inference),
    Bench("inference.swrn-28-10.batch16", bench_inference),
    Bench("share.svd.wrn-28-10", bench_start_from_weights),
    Bench("fold.inference.swrn-28-2-4.batch128", bench_folded_inference),
    Bench("fold.inference.swrn-28-10-4.batch16", bench_folded_inference),
    Bench("fold.find", bench_finding),
    Bench("fold.file", bench_file),
    Bench("forecast.paper", bench_forecast, long=True),
    Bench("forecast.local-run", bench_local_run, long=True),
    Bench("forecast.schedule", bench_schedule),
    Bench("status", bench_status),
    Bench("paths.data", bench_path_data),
    Bench("paths.step.scnn-20", bench_path_step),
    Bench("paths.throughput", bench_path_throughput),
    Bench("paths.evaluation", bench_path_evaluation),
    Bench("throughput.wrn-28-2.batch128", bench_throughput),
    Bench("throughput.swrn-28-2-2.batch128", bench_throughput),
    Bench("compiled.wrn-28-1.batch128", bench_compiled, long=True),
    Bench("compiled.wrn-28-2.batch128", bench_compiled, long=True),
    Bench("peak.product", bench_product),
    Bench("peak.wrn-28-1.batch128", bench_peak),
    Bench("peak.wrn-28-2.batch128", bench_peak),
    Bench("peak.wrn-28-10.batch16", bench_peak),
    Bench("parts.wrn-28-2.batch128", bench_parts),
    Bench("parts.swrn-28-2-2.batch128", bench_parts),
    _steps("28-2", 128),
    _steps("28-10", 16),
    _steps("28-10", 128, long=True),
    Bench("gpu.step.swrn-28-10.batch128", bench_gpu_step),
    Bench("gpu.step.swrn-28-10-2.batch128", bench_gpu_step),
    Bench("gpu.step.swrn-50-2.batch256", bench_gpu_step),
    Bench("gpu.recorded.swrn-28-2.batch128", bench_gpu_recorded),
    Bench("gpu.recorded.swrn-28-10.batch128", bench_gpu_recorded),
    Bench("gpu.compiled.swrn-28-10.batch128", bench_gpu_compiled),
)
