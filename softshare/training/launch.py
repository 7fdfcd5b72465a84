"""Trains in several processes, a GPU each, and ends as one: `python -m softshare.training.launch COUNT train ...`.

As `torchrun --standalone --nproc-per-node COUNT -m softshare train ...` does, but what was wrong is told in one line,
of the process that failed first, and its exit status is that of the whole.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from softshare.errors import Stopped, UserError
from softshare.telling import GOES_ON, LAUNCHED

_ENDED_BY_OTHERS = (-signal.SIGTERM, 128 + signal.SIGTERM)
_USAGE = "python -m softshare.training.launch COUNT train ..."


def launch(count: int, arguments: Sequence[str]) -> tuple[int, str]:
    """Runs `softshare` with the same arguments in several processes of this machine, which find each other.

    Args:
        count: How many.
        arguments: Of each.

    Returns:
        0 and nothing; else the exit status of the process that failed first, or 128 + the signal that stopped all, and
        the line that tells why.
    """
    # torchrun tells in lines of its own which processes it ends.
    logging.disable(logging.CRITICAL)
    os.environ |= {LAUNCHED: "1"}
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # else each would take every core until `--threads` is read
    with tempfile.TemporaryDirectory(prefix="softshare-launch-") as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            monitor_interval=0.1,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        try:
            elastic_launch(config, sys.executable)("-m", "softshare", *arguments)
        except ChildFailedError as error:
            return _outcome(error.failures, count)
        except SignalException as stopped:
            return 128 + stopped.sigval, f"softshare: stopped by {Stopped(stopped.sigval)}; {GOES_ON}"
    return 0, ""


def _outcome(failures: Mapping[int, ProcessFailure], count: int) -> tuple[int, str]:
    """Status and line of the process that failed first: of those that told what was wrong, if any did."""
    # When one ends, the others are ended by SIGTERM.
    own = {rank: each for rank, each in failures.items() if each.exitcode not in _ENDED_BY_OTHERS} or failures
    told = {rank: each for rank, each in own.items() if "timestamp" in each.error_file_data}
    rank, first = min((told or own).items(), key=lambda each: (each[1].timestamp, each[0]))
    if told:
        return first.exitcode, first.message
    if first.exitcode >= 0:
        return first.exitcode, f"softshare: process {rank + 1} of {count} ended with status {first.exitcode}"
    name = signal.Signals(-first.exitcode).name
    return 128 - first.exitcode, f"softshare: process {rank + 1} of {count} was ended by {name}"


def main(arguments: Sequence[str]) -> int:
    """Does what the command line says.

    Returns:
        The exit status.
    """
    if not arguments or not re.fullmatch(r"[1-9][0-9]{0,3}", arguments[0]) or not arguments[1:]:
        problem = UserError("must be a number of processes", key="COUNT", value=" ".join(arguments[:1]), remedy=_USAGE)
        print(f"softshare: error: {problem}", file=sys.stderr)
        return 2
    status, line = launch(int(arguments[0]), arguments[1:])
    if line:
        print(line, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
