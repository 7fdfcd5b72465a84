"""Runs benches, holds each number against its bound and writes `bench.csv` and `bench.md`."""

from __future__ import annotations

import gc
import operator
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch
from tabulate import tabulate

from softshare.bench.catalogue import BENCHES, Bench
from softshare.bench.measure import Measured
from softshare.bench.page import bench_page
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
    began = time.monotonic()
    rows = []
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
    write_text(out / "bench.csv", table.to_csv(index=False, lineterminator="\n"))
    device = torch.device("cpu")
    machine = {
        "device": describe_device(device),
        "threads": torch.get_num_threads(),
        "precision": resolve_precision("auto", device),
        "gpu": describe_device(torch.device("cuda")) if torch.cuda.is_available() else None,
        "rounds": rounds,
        "minutes": round((time.monotonic() - began) / 60, 2),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        **provenance(),
    }
    write_json(out / "manifest.json", machine)
    write_text(out / "bench.md", bench_page(table, machine, settings["bounds"]))
    print(tabulate(rows, headers="keys", tablefmt="github"))
    print(f"{machine['device']}, {machine['threads']} threads, {machine['precision']}; written to {out / 'bench.csv'}")
    if only is None and not everything:
        print(f"left out, for they take long (--all): {', '.join(each.name for each in BENCHES if each.long)}")
    return table


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
