"""Runs benches, holds each number against its bound and writes `bench.csv` and `bench.md`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch
from tabulate import tabulate

from softshare.bench.dag import bench_dry_run, bench_growth, bench_nothing_to_do
from softshare.bench.folding import bench_file, bench_finding, bench_folded_inference
from softshare.bench.forecasting import bench_forecast, bench_local_run, bench_schedule, bench_status
from softshare.bench.gpu import bench_gpu_asking, bench_gpu_compiled, bench_gpu_step
from softshare.bench.inference import bench_inference, bench_start_from_weights
from softshare.bench.loading import bench_beton, bench_loading, bench_waiting
from softshare.bench.measure import Measured
from softshare.bench.page import bench_page
from softshare.bench.paths import bench_path_data, bench_path_step, bench_path_throughput
from softshare.bench.photographs import bench_photographs
from softshare.bench.report import bench_report
from softshare.bench.steps import bench_memory, bench_step, bench_throughput, step_names
from softshare.bench.synthesis import bench_synthesis
from softshare.errors import UserError, did_you_mean
from softshare.files import project_root, read_yaml, write_json, write_text
from softshare.training.device import describe_device, keep_freed_memory, resolve_precision
from softshare.training.record import provenance

_RELATIONS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}

BENCHES: dict[str, Callable[[str, int], Iterator[Measured]]] = {
    "dry-run.paper": bench_dry_run,
    "dag.nothing-to-do": bench_nothing_to_do,
    "dag.growth": bench_growth,
    "report.200-runs": bench_report,
    "synthesis": bench_synthesis,
    "loading.speedup": bench_loading,
    "loading.waiting": bench_waiting,
    "loading.beton": bench_beton,
    "loading.photographs": bench_photographs,
    "memory.swrn-28-10.batch16": bench_memory,
    "inference.swrn-28-2.batch128": bench_inference,
    "inference.swrn-28-10.batch16": bench_inference,
    "share.svd.wrn-28-10": bench_start_from_weights,
    "fold.inference.swrn-28-2-4.batch128": bench_folded_inference,
    "fold.inference.swrn-28-10-4.batch16": bench_folded_inference,
    "fold.find": bench_finding,
    "fold.file": bench_file,
    "forecast.paper": bench_forecast,
    "forecast.local-run": bench_local_run,
    "forecast.schedule": bench_schedule,
    "status": bench_status,
    "paths.data": bench_path_data,
    "paths.step.scnn-20": bench_path_step,
    "paths.throughput": bench_path_throughput,
    "throughput.wrn-28-2.batch128": bench_throughput,
    "throughput.swrn-28-2-2.batch128": bench_throughput,
    **dict.fromkeys(step_names(), bench_step),
    "gpu.step.swrn-28-10.batch128": bench_gpu_step,
    "gpu.step.swrn-28-10-2.batch128": bench_gpu_step,
    "gpu.step.swrn-50-2.batch256": bench_gpu_step,
    "gpu.recorded.swrn-28-2.batch128": bench_gpu_asking,
    "gpu.recorded.swrn-28-10.batch128": bench_gpu_asking,
    "gpu.compiled.swrn-28-10.batch128": bench_gpu_compiled,
}


def run_benches(out: Path, only: list[str] | None = None, rounds: int | None = None) -> pd.DataFrame:
    """Measures, prints each row as it comes, and writes `bench.csv`, `bench.md` and `manifest.json`.

    Args:
        out: The folder to write to.
        only: Beginnings of the names of the benches to run; all by default.
        rounds: Measurements of each, at least 5; the file's by default.

    Returns:
        The rows: name, value, unit, bound, holds.

    Raises:
        UserError: Too few rounds, or no bench of such a name.
    """
    settings = read_yaml(project_root() / "config" / "bench.yaml", schema="bench")
    rounds = settings["rounds"] if rounds is None else rounds
    if rounds < 5:
        raise UserError("a median needs at least 5 rounds", key="rounds", value=rounds)
    chosen = [name for name in BENCHES if only is None or any(name.startswith(start) for start in only)]
    if not chosen:
        raise UserError("no such bench", key="only", value=only, remedy=did_you_mean((only or [""])[0], BENCHES))
    on_gpu = [name for name in chosen if name.startswith("gpu.")]
    if on_gpu and not torch.cuda.is_available():
        if len(on_gpu) == len(chosen):
            raise UserError("there is no GPU here", key="only", value=only)
        chosen = [name for name in chosen if name not in on_gpu]
    keep_freed_memory()
    rows = []
    for name in chosen:
        for measured in BENCHES[name](name, rounds):
            row = _row(measured, settings["bounds"])
            print(
                f"{row['name']}: {row['value']} {row['unit']} (bound {row['bound']}) {row['holds']}",
                flush=True,
            )
            rows.append(row)
    table = pd.DataFrame(rows)
    write_text(out / "bench.csv", table.to_csv(index=False, lineterminator="\n"))
    device = torch.device("cpu")
    machine = {
        "device": describe_device(device),
        "threads": torch.get_num_threads(),
        "precision": resolve_precision("auto", device),
        "gpu": describe_device(torch.device("cuda")) if torch.cuda.is_available() else None,
        "rounds": rounds,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        **provenance(),
    }
    write_json(out / "manifest.json", machine)
    write_text(out / "bench.md", bench_page(table, machine, settings["bounds"]))
    print(tabulate(rows, headers="keys", tablefmt="github"))
    print(f"{machine['device']}, {machine['threads']} threads, {machine['precision']}; written to {out / 'bench.csv'}")
    return table


def _row(measured: Measured, bounds: dict[str, str]) -> dict[str, object]:
    bound = bounds.get(measured.name, "")
    relation, _, limit = bound.partition(" ")
    holds = "yes" if bound and _RELATIONS[relation](measured.value, float(limit)) else "no" if bound else ""
    value = float(f"{measured.value:.4g}")
    return {"name": measured.name, "value": value, "unit": measured.unit, "bound": bound, "holds": holds}
