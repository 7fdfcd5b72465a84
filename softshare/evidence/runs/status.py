"""Where every run of a scale stands, from its folder and its log alone: fit for a login node, whatever node trains.

A run is done where its numbers are complete, and running where a process holds its folder. On this machine its process
can be asked for; on another only the age of its lock, to which training gives a new date every minute, and of what the
run last wrote can tell.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import re
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from softshare.errors import UserError, shorten
from softshare.evidence.runs.checks import UnusableError
from softshare.evidence.runs.history import read_history
from softshare.evidence.runs.log_ending import End, read_ending, read_progress
from softshare.evidence.runs.runfolder import State, read_run
from softshare.files import LARGEST_TEXT, plain_file
from softshare.plan import Plan
from softshare.recipes import load_recipe
from softshare.runfiles import CHECKPOINT, DIVERGED, HISTORY, LOCK, METRICS
from softshare.scales import Run

_LONGEST_REASON = 400  # characters
# A run that wrote nothing for so many epochs, and for so long, is taken for dead where its lock cannot be asked.
_SILENT_EPOCHS, _SILENT_SECONDS = 5.0, 900.0
_SCORES = {"test_error": ("test error", " %"), "test_f1": ("test F1", "")}


class Stand(StrEnum):
    """Where a run stands: done where the report can use it, stopped where it was asked to end or was killed unseen."""

    DONE = "done"
    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"
    NOT_STARTED = "not started"


@dataclass(frozen=True)
class RunStatus:
    """Where a run stands.

    Attributes:
        run: The run.
        stand: Where it stands.
        epoch: Epochs trained so far.
        epochs: Of the whole training.
        loss: Mean training loss of the last epoch.
        score: On the test set after the last epoch, in words.
        seconds_left: That training takes for the epochs left, at the median pace so far; evaluation is not in it.
        why: What is known beside: the host, or the line of the log that tells how it ended, and from where it goes on.
        log: The run's log, if it has one.
    """

    run: Run
    stand: Stand
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    score: str = ""
    seconds_left: float | None = None
    why: str = ""
    log: Path | None = None


def read_status(plan: Plan, results: Path) -> list[RunStatus]:
    """Looks at every run of a plan.

    Args:
        plan: What is to be run.
        results: `results/<scale>`.

    Raises:
        UserError: A recipe that cannot be read, or no folder where results should lie.
    """
    for place in (results.parent, results, results / "runs"):
        if place.exists() and not place.is_dir():
            raise UserError("is no folder", file=place, key="results", remedy="name the folder that holds the scales")
    epochs = {recipe: _epochs(recipe, plan) for recipe in plan.recipes}
    return [_status(run, epochs[run.setting.recipe], results) for run in plan.runs]


def failed_data(found: Iterable[RunStatus], results: Path) -> list[str]:
    """What hinders runs that have not started: a line for each dataset that is not there and whose log tells why.

    Args:
        found: The runs.
        results: `results/<scale>`, beside which data are prepared.
    """
    lines = []
    for name in sorted({each.run.setting.dataset for each in found if each.stand is Stand.NOT_STARTED}):
        log = results.parent / "logs" / "data" / f"{name}.log"
        ending = None if (results.parent / "data" / f"{name}.json").exists() else read_ending(log)
        if ending is not None and ending.end is not End.UNKNOWN:  # else it is at work, for all that is known
            lines.append(
                f"data {name}: {ending.end}: {_printable(shorten(ending.line, _LONGEST_REASON))}; log at {log}"
            )
    return lines


def _epochs(recipe: str, plan: Plan) -> int:
    settings = load_recipe(recipe, plan.scale)
    return settings["epochs"] * len(settings.get("windows", (1,)))


def _status(run: Run, epochs: int, results: Path) -> RunStatus:
    folder = results / "runs" / run.folder
    log = results / "logs" / "train" / f"{run}.log"
    rows = _history(folder / HISTORY)
    told = RunStatus(run, Stand.NOT_STARTED, len(rows), epochs, log=log if log.is_file() else None)
    if rows:
        told = _with_history(told, rows)
    elif (folder / CHECKPOINT).is_file() and (progress := read_progress(log)):
        # Snakemake takes the history away with the other outputs of a job that failed; the checkpoint is none.
        told = replace(told, epoch=progress[0], loss=progress[1])
    written = (folder / METRICS).exists() or (folder / DIVERGED).exists()
    record = read_run(results, run) if written else None
    if record is not None and record.complete:
        return _with(told, Stand.DONE, "")
    held, holder = _holder(folder, rows)
    if held:
        return _with(told, Stand.RUNNING, holder)
    if record is not None and record.state is State.UNUSABLE:
        return _with(told, Stand.FAILED, record.reason if record.diverged else f"unusable: {record.reason}")
    return _ended(told, (folder / CHECKPOINT).is_file(), holder)


def _ended(told: RunStatus, checkpoint: bool, lost: str) -> RunStatus:
    """A run that has no numbers and that nobody trains: by what its log says, if it has one.

    Args:
        told: What is known of it.
        checkpoint: Whether it has one.
        lost: Who trained it on another machine and was not heard of for long, in words; empty where nobody did.
    """
    ending = read_ending(told.log) if told.log else None
    if ending is None:
        if not checkpoint and told.epoch:
            return _with(told, Stand.STOPPED, "it has neither checkpoint nor log and starts again from the beginning")
        return _with(told, Stand.STOPPED, _and(lost, "it has no log")) if checkpoint or lost else told
    line = _printable(shorten(ending.line, _LONGEST_REASON))
    if ending.end is End.FAILED:
        return _with(
            told, Stand.FAILED, line + ("; goes on from its checkpoint when started again" if checkpoint else "")
        )
    if checkpoint:
        return _with(told, Stand.STOPPED, line or "its log says nothing")
    if lost and ending.end is End.UNKNOWN:  # whether it was killed or its machine is out of reach cannot be told
        line = f"its log ends with: {line}" if line else "its log says nothing"
        return _with(told, Stand.STOPPED, _and(lost, line))
    if ending.end is End.STOPPED:
        return _with(told, Stand.STOPPED, f"{line}; it has no checkpoint yet and starts again from the beginning")
    return _with(told, Stand.FAILED, line or "its log is empty")


def _and(lost: str, words: str) -> str:
    return f"{lost}; {words}" if lost else words


def _with(told: RunStatus, stand: Stand, why: str) -> RunStatus:
    left = told.seconds_left if stand in (Stand.RUNNING, Stand.STOPPED) else None
    return replace(told, stand=stand, seconds_left=left, why=why)


def _with_history(told: RunStatus, rows: list[dict[str, str]]) -> RunStatus:
    last, loss, score, left = rows[-1], None, "", None
    with contextlib.suppress(KeyError, TypeError, ValueError):
        loss = float(last["train_loss"])
    for key, (name, unit) in _SCORES.items():
        with contextlib.suppress(KeyError, TypeError, ValueError):
            score = f"{name} {float(last[key]):.4g}{unit}"
    with contextlib.suppress(KeyError, TypeError, ValueError):
        taken = [float(row["seconds"]) + float(row.get("evaluation_seconds") or 0.0) for row in rows]
        pace = statistics.median(taken) * max(told.epochs - len(rows), 0)
        left = pace if 0 <= pace < math.inf else None  # of a history that nobody can have written
    return replace(told, loss=loss, score=score, seconds_left=left)


def _holder(folder: Path, rows: list[dict[str, str]]) -> tuple[bool, str]:
    """Whether a process trains in a folder, and which, in words; also one elsewhere that has been silent for long."""
    lock = folder / LOCK
    try:
        words = plain_file(lock, LARGEST_TEXT).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return False, ""
    process, host = (words[0] if words else "?"), (_printable(words[-1]) if len(words) > 1 else platform.node())
    if host == platform.node():
        return (True, f"process {process}") if _is_alive(process) else (False, "")
    silent = _silent_seconds(folder)
    last_heard = f"on {host}, last heard of {_minutes(silent)} ago"
    with contextlib.suppress(KeyError, TypeError, ValueError):
        pace = statistics.median(float(row["seconds"]) for row in rows) if rows else 0.0
        if silent > max(_SILENT_EPOCHS * pace, _SILENT_SECONDS):
            return False, last_heard
    return True, last_heard


def _is_alive(process: str) -> bool:
    """Whether a process of this machine is there. Its lock is not asked: that would hold off one that starts."""
    if not re.fullmatch(r"[1-9][0-9]*", process):  # 0 and below stand for groups of processes
        return False
    try:
        os.kill(int(process), 0)
    except PermissionError:
        return True  # another user's
    except (OSError, ValueError, OverflowError):
        return False
    return True


def _silent_seconds(folder: Path) -> float:
    newest = 0.0
    for name in (LOCK, CHECKPOINT, HISTORY):
        with contextlib.suppress(OSError):
            newest = max(newest, (folder / name).stat().st_mtime)
    return max(time.time() - newest, 0.0)


def _history(file: Path) -> list[dict[str, str]]:
    try:
        return read_history(file)
    except UnusableError:
        return []


def _printable(text: str) -> str:
    """Without what a terminal would obey in place of showing it."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def describe_status(found: list[RunStatus], scale: str, everything: bool = True, results: Path | None = None) -> str:
    """The runs as a table, under a line that counts them and what hinders those that have not started.

    Args:
        found: The runs.
        scale: Name of the scale.
        everything: Also runs that are done or not started.
        results: `results/<scale>`; told if it is not there, as are data beside it that could not be prepared.
    """
    counts = {stand: sum(each.stand is stand for each in found) for stand in Stand}
    head = f"scale {scale}: {len(found)} runs: " + ", ".join(f"{n} {stand}" for stand, n in counts.items() if n)
    if results is not None and not results.exists():
        head += f" (no folder {results} yet)"
    head = "\n".join([head, *(failed_data(found, results) if results is not None else ())])
    quiet = () if everything else (Stand.DONE, Stand.NOT_STARTED)
    rows = [_row(each) for each in found if each.stand not in quiet]
    if not rows:
        return head
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]
    return "\n".join([head, *(line.rstrip() for line in lines)])


def _row(each: RunStatus) -> list[str]:
    epoch = f"epoch {each.epoch}/{each.epochs}" if each.epoch else ""
    loss = f"loss {each.loss:.3f}" if each.loss is not None else ""
    left = f"{_minutes(each.seconds_left)} left" if each.seconds_left is not None else ""
    why = each.why
    if each.stand in (Stand.FAILED, Stand.STOPPED) and each.log is not None:
        why += f" (log: {each.log})"
    return [str(each.run), str(each.stand), epoch, loss, each.score, left, why]
