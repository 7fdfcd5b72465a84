"""How a run's last attempt ended, told from its log: each attempt writes its log anew."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from softshare.files import plain_file

_TAIL = 65536  # bytes
_ERROR = "softshare: error:"
# An epoch that was trained after it shows that what stands before it ended nothing.
_PROGRESS = re.compile(r"epoch \d+/\d+.*: train loss ")
_TRAINED = re.compile(r"epoch (\d{1,6})/\d+.*: train loss (\d+\.\d+)")
# torchrun and torch say on which process's behalf they speak; colours and the like say nothing.
_SPEAKER = re.compile(r"^(?:\[(?:rank|default)?\d+\]:\s?)+")
_CONTROL = re.compile(r"\x1b\[[\d;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_TRACEBACK = "Traceback (most recent call last):"
_HARMLESS = "Exception ignored in"
_EXCEPTION = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception)(?::|$)")
# What torchrun adds to its processes' own words: where it begins, and its exception.
_TRAILER = re.compile(r"[EWI]\d{4} .*torch/distributed/elastic/")
_OF_TORCHRUN = re.compile(r"torch\.distributed\.elastic\.")
# What one process says because another has ended.
_CONSEQUENCE = re.compile(r".*(?:Dist(?:Backend|Network|Store)Error|Connection (?:closed by peer|reset))")
_ASKED = re.compile(r"KeyboardInterrupt\b|.*SignalException: |.*killed by signal: Terminated")
# A signal to torchrun reaches its processes, not the other way round; likewise what Slurm says it did.
_FROM_OUTSIDE = re.compile(r".*DUE TO (?:TIME LIMIT|PREEMPTION|NODE FAILURE)|.*SignalException: .* got signal: ")
_SHELL = r"(?:.*: line \d+: +\d+ )?"
_KILLED_SAYS_A_SHELL = re.compile(r".*: line \d+: +\d+ Killed\b")
KILLED = "killed (out of memory, or SIGKILL)"
_KILLED = re.compile(
    r".*\boom[ _-]?kill|.*\bout of memory\b|.*CUDA error|Signal (?:[3-9]|1[0134]) \(SIG\w+\) received by PID"
    rf"|{_SHELL}(?:Killed|Aborted|Segmentation fault|Bus error|Illegal instruction|Floating point exception)\b"
    r"|Fatal Python error|what\(\): ",
    re.IGNORECASE,
)
_TOLD_TO_END = re.compile(
    r"softshare: stopped by |.*\*\*\* .*CANCELLED AT |Signal (?:1|2|15) \(SIG\w+\) received by PID"
    rf"|{_SHELL}Terminated\b"
)


class End(StrEnum):
    """How an attempt ended."""

    FAILED = "failed"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, if it did.

    Attributes:
        end: `stopped` where it was asked to end: by a person, a time limit, a scheduler. `unknown` where its log does
            not tell, as that of a process that was killed or still runs.
        line: The line of the log that tells, or else the last one that says something; empty where none does. `KILLED`
            where it is a shell's, which tells the whole command but not why.
    """

    end: End
    line: str


def read_ending(log: Path) -> Ending | None:
    """Reads the end of a log, 64 KiB at most; None where there is no log that can be read."""
    text = _tail_of(log)
    return None if text is None else ending_of(text)


def read_progress(log: Path) -> tuple[int, float] | None:
    """Epochs trained by the last line of a log that tells of one, and its training loss; None where none does."""
    told = _TRAINED.findall(_tail_of(log) or "")
    return (int(told[-1][0]), float(told[-1][1])) if told else None


def _tail_of(log: Path) -> str | None:
    try:
        with plain_file(log).open("rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - _TAIL, 0))
            return file.read(_TAIL).decode("utf-8", "replace")
    except OSError:
        return None


def ending_of(text: str) -> Ending:
    """How the attempt ended whose log ends with a text.

    What softshare says of itself comes first, then a traceback, whatever other processes said after it: that they
    lost each other, or were told to end by torchrun or Slurm, is what came of it.
    """
    lines = text.replace("\r", "\n").split("\n")
    errors = [line for line in _cleaned(lines) if line.startswith(_ERROR)] if _ERROR in text else []
    if errors:
        return Ending(End.FAILED, errors[-1])
    trained = next((at for at in reversed(range(len(lines))) if _PROGRESS.match(lines[at])), 0)
    lines = _cleaned(lines[trained:])
    exceptions = list(_exceptions(lines))
    asked = [line for line in exceptions if _ASKED.match(line)]
    raised = [line for line in exceptions if line not in asked and not _OF_TORCHRUN.match(line)]
    consequences = [line for line in raised if _CONSEQUENCE.match(line)]
    causes = [line for line in raised if line not in consequences]
    others = [line.strip().removeprefix("traceback : ") for line in lines]
    kinds = (
        (End.FAILED, causes),
        (End.STOPPED, list(filter(_FROM_OUTSIDE.match, others))),
        (End.FAILED, list(filter(_KILLED.match, others))),
        (End.FAILED, consequences),
        (End.STOPPED, list(filter(_TOLD_TO_END.match, others))),
        (End.STOPPED, asked),
    )
    found = next((Ending(end, told[-1]) for end, told in kinds if told), Ending(End.UNKNOWN, _last(lines)))
    return Ending(found.end, KILLED) if _KILLED_SAYS_A_SHELL.match(found.line) else found


def _cleaned(lines: Sequence[str]) -> list[str]:
    """The lines that hold something, without colours and without who speaks."""
    cleaned = (_SPEAKER.sub("", _CONTROL.sub("", line).rstrip()) for line in lines)
    return [line for line in cleaned if line.strip()]


def _exceptions(lines: Sequence[str]) -> Iterator[str]:
    """The line of each traceback that names its exception, in order."""
    inside = ignored = False
    for before, line in zip(["", *lines], lines, strict=False):
        if line.lstrip().endswith(_TRACEBACK):
            inside, ignored = True, before.startswith(_HARMLESS)
        elif inside:
            if not line[0].isspace():
                inside = False
                if not ignored:
                    yield line
        elif _EXCEPTION.match(line):  # of a traceback that began before the tail
            yield line


def _last(lines: Sequence[str]) -> str:
    """The last line of a log that says something: no rule, and before torchrun's trailer."""
    begin = next((at for at, line in enumerate(lines) if _TRAILER.match(line)), None)
    told = [line.strip() for line in lines[:begin] if re.search(r"\w", line)]
    return told[-1] if told else ""
