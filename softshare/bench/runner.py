"""Runs benches, holds each number against its bound and writes `bench.csv` and `bench.md`."""

from __future__ import annotations

import gc
import operator
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tabulate import tabulate

from softshare.bench.catalogue import BENCHES, Bench
from softshare.bench.measure import Measured
from softshare.bench.page import bench_page
from softshare.cores import usable_cores
from softshare.errors import UserError, did_you_mean
from softshare.files import project_root, write_json, write_text
from softshare.schemas import read_yaml
from softshare.training.device import describe_device, keep_freed_memory, resolve_precision
from softshare.training.record import provenance

_RELATIONS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


def run_benches(
    out: Path, only: list[str] | None = None, rounds: int | None = None, *, everything: bool = False
) -> pd.DataFrame:
    """Measures, prints each row as it comes, and writes `bench.csv`, `bench.md` and `manifest.json`.

    They are written anew after each bench, so that one that is broken off leaves what it had measured.

    Args:
        out: The folder to write to.
        only: Beginnings of the names of benches or rows; by default all benches but the long ones.
        rounds: Measurements of each, at least 5; the file's by default.
        everything: Run the long ones, too.

    Returns:
        The rows: name, value, unit, bound, holds; low and high, the quartiles; rounds.

    Raises:
        UserError: Too few rounds, or no bench of such a name.
    """
    settings = read_yaml(project_root() / "config" / "bench.yaml", schema="bench")
    rounds = settings["rounds"] if rounds is None else rounds
    if rounds < 5:
        raise UserError("a median needs at least 5 rounds", key="rounds", value=rounds)
    chosen = _chosen(only, everything)
    keep_freed_memory()
    began, told = time.monotonic(), _machine(rounds)
    rows: list[dict[str, object]] = []
    for bench in chosen:
        for measured in bench.measure(bench.name, rounds):
            row = _row(measured, settings["bounds"])
            print(
                f"{row['name']}: {row['value']} {row['unit']} (bound {row['bound']}) {row['holds']}",
                flush=True,
            )
            rows.append(row)
        gc.collect()  # loaders end their processes, which takes half a minute where FFCV's thread is the one to do it
        table = pd.DataFrame(rows)
        minutes = round((time.monotonic() - began) / 60, 2)
        machine = told | {"minutes": minutes, "finished": datetime.now(UTC).isoformat(timespec="seconds")}
        write_text(out / "bench.csv", table.to_csv(index=False, lineterminator="\n"))
        write_json(out / "manifest.json", machine)
        write_text(out / "bench.md", bench_page(table, machine, settings["bounds"]))
    print(tabulate(rows, headers="keys", tablefmt="github"))
    print(f"{told['device']}, {told['threads']} threads, {told['precision']}; written to {out / 'bench.csv'}")
    if only is None and not everything:
        print(f"left out, for they take long (--all): {', '.join(each.name for each in BENCHES if each.long)}")
    return table


def _machine(rounds: int) -> dict[str, Any]:
    """What measures, and the code that is measured: as it is now, before anything else is done."""
    device = torch.device("cpu")
    return {
        "device": describe_device(device),
        "cores": usable_cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "threads": torch.get_num_threads(),
        "precision": resolve_precision("auto", device),
        "gpu": describe_device(torch.device("cuda")) if torch.cuda.is_available() else None,
        "rounds": rounds,
        **provenance(),
    }


def _chosen(only: list[str] | None, everything: bool) -> list[Bench]:
    if only is None:
        chosen = [bench for bench in BENCHES if everything or not bench.long]
    else:
        chosen = [bench for bench in BENCHES if any(bench.is_meant_by(start) for start in only)]
    if not chosen:
        names = [name for bench in BENCHES for name in (bench.name, *bench.rows)]
        raise UserError("no such bench", key="only", value=only, remedy=did_you_mean((only or [""])[0], names))
    if torch.cuda.is_available():
        return chosen
    here = [bench for bench in chosen if not bench.needs_gpu]
    if not here:
        raise UserError("there is no GPU here", key="only", value=only)
    return here


def _row(measured: Measured, bounds: dict[str, str]) -> dict[str, object]:
    bound = bounds.get(measured.name, "")
    relation, _, limit = bound.partition(" ")
    holds = "yes" if bound and _RELATIONS[relation](measured.value, float(limit)) else "no" if bound else ""
    value, low, high = (float(f"{number:.5g}") for number in (measured.value, measured.low, measured.high))
    return {
        "name": measured.name, "value": value, "unit": measured.unit, "bound": bound, "holds": holds,
        "low": low, "high": high, "rounds": measured.rounds,
    }  # fmt: skip
