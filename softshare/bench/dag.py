"""What the DAG costs before anything runs, after all has run, and with ever more runs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from softshare.bench.measure import Measured, alternate, median, timed
from softshare.bench.project_copy import add_scale, project_copy, snakemake
from softshare.errors import UserError
from softshare.files import project_root
from softshare.plan import load_plan

# Seeds of every run at the paper's scale that make some 200, 500, 1,000 and 2,000 runs.
_SEEDS = (5, 14, 28, 56)
# An experiment without any run: what it costs to start Snakemake and to read the configuration.
_NOTHING = ("scale=quick", "experiments=['table3']")


def bench_dry_run(name: str, rounds: int) -> Iterator[Measured]:
    """`snakemake -n` at scale paper, and how many modules of torch it imports."""
    call = ["-m", "snakemake", "-n", "--cores", "all", "--config", "scale=paper"]
    run = partial(subprocess.run, cwd=project_root(), check=True, stdout=subprocess.DEVNULL)
    seconds = timed(lambda: run([sys.executable, *call], stderr=subprocess.DEVNULL), rounds)
    yield median(f"{name}.seconds", seconds, "s")
    with tempfile.TemporaryFile("w+") as log:
        run([sys.executable, "-X", "importtime", *call], stderr=log)  # by itself, for to log imports takes time
        log.seek(0)
        imported = [line.rpartition("|")[2].strip() for line in log if line.startswith("import time:")]
    torch_modules = [module for module in imported if module.split(".")[0] == "torch"]
    yield Measured(f"{name}.torch-modules", float(len(torch_modules)), "modules")


def bench_nothing_to_do(name: str, rounds: int) -> Iterator[Measured]:
    """A second `snakemake` at scale quick, all of whose files are there and recorded as made."""
    with project_copy() as copy:
        pretend_all_was_made(copy)

        def find_nothing() -> None:
            said = snakemake(copy)
            if "Nothing to be done" not in said:
                raise UserError("snakemake found something to do", value=said.strip().rpartition("\n")[2])

        seconds = timed(find_nothing, rounds)
    yield median(f"{name}.seconds", seconds, "s")


def pretend_all_was_made(copy: Path) -> None:
    """Makes each file of the quick scale that a copy of the project lacks; Snakemake records all as made by rules."""
    header, *rows = (line.split("\t") for line in snakemake(copy, "--summary").splitlines() if "\t" in line)
    place = header.index("output_file")
    for file in (copy / row[place] for row in rows):
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("made by a bench\n")
    snakemake(copy, "--touch", "--forceall")


def bench_growth(name: str, rounds: int) -> Iterator[Measured]:
    """`snakemake -n` at the paper's scale with ever more seeds, and whether its time grows as their number does.

    Growth is the time a run at the most runs, over that at some 500; what an empty plan takes is taken off both.
    """
    with project_copy() as copy:
        scales = {seeds: add_scale(copy, seeds) for seeds in _SEEDS}
        runs = [len(load_plan(scale, root=copy).runs) for scale in scales.values()]
        plans: dict[str, Callable[[], object]] = {
            scale: partial(snakemake, copy, "-n", "--quiet", "--config", f"scale={scale}") for scale in scales.values()
        }
        plans["nothing"] = partial(snakemake, copy, "-n", "--quiet", "--config", *_NOTHING)
        taken = alternate(plans, rounds)
    start = statistics.median(taken.pop("nothing"))
    for count, seconds, seeds in zip(runs, taken.values(), _SEEDS, strict=True):
        yield median(f"{name}.{seeds}-seeds", seconds, f"s ({count} runs)")
    yield Measured(name, growth(runs, [statistics.median(each) for each in taken.values()], start))


def growth(runs: Sequence[int], seconds: Sequence[float], start: float) -> float:
    """Seconds a run at the last number of runs over those at the second, `start` taken off both: 1 = linear."""
    at_second, at_last = ((seconds[index] - start) / runs[index] for index in (1, -1))
    return at_last / at_second
