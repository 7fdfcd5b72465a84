"""What the DAG costs before anything runs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from softshare.bench.measure import Measured
from softshare.files import project_root


def bench_dry_run(name: str, rounds: int) -> Iterator[Measured]:
    """`snakemake -n` at scale paper, and how many modules of torch it imports."""
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "snakemake",
        "-n",
        "--cores",
        "all",
        "--config",
        "scale=paper",
    ]
    seconds = []
    with tempfile.TemporaryFile("w+") as log:
        for _ in range(rounds):
            log.seek(0)
            start = time.perf_counter()
            subprocess.run(command, cwd=project_root(), check=True, stdout=subprocess.DEVNULL, stderr=log)
            seconds.append(time.perf_counter() - start)
        log.seek(0)
        imported = [line.rpartition("|")[2].strip() for line in log if line.startswith("import time:")]
    yield Measured(f"{name}.seconds", statistics.median(seconds), "s")
    torch_modules = [module for module in imported if module.split(".")[0] == "torch"]
    yield Measured(f"{name}.torch-modules", float(len(torch_modules)), "modules")
