"""Gives a command GPUs of this machine that no other job has: `python -m softshare.gpus COUNT -- COMMAND...`.

Each GPU has a file that is locked for as long as the command lives: the lock goes with the process, however it ends.
Where a scheduler has already given a job its GPUs, no other job sees these, and nothing is waited for. Jobs of other
users are not known here.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from softshare.errors import UserError

_USAGE = "python -m softshare.gpus COUNT [--only N] -- COMMAND..."
_VARIABLE = "CUDA_VISIBLE_DEVICES"
_ORDER, _BY_PLACE = "CUDA_DEVICE_ORDER", "PCI_BUS_ID"
_WHOLE = re.compile(r"(GPU|MIG)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LOOK_AGAIN_SECONDS = 0.5


@dataclass(frozen=True)
class Gpu:
    """A GPU that this process may use.

    Attributes:
        entry: What stands for it in `CUDA_VISIBLE_DEVICES`.
        name: Its uuid, the same however it was named; where no driver tells one, what is known of it.
    """

    entry: str
    name: str


def visible_gpus(environment: Mapping[str, str]) -> list[Gpu]:
    """The GPUs that this process may use: those of `CUDA_VISIBLE_DEVICES` if it is set, else the driver's.

    As CUDA reads that variable, what comes after an entry that names no GPU (such as -1) does not count.

    Raises:
        UserError: `nvidia-smi` is there and does not answer.
    """
    told = environment.get(_VARIABLE)
    if told is None:
        known = _uuids()
        return [Gpu(uuid, uuid) for uuid in known] if known is not None else _device_files()
    entries = [entry.strip() for entry in told.split(",")]
    # A full uuid needs no driver to be known.
    known = None if all(_WHOLE.fullmatch(entry) for entry in entries) else _uuids()
    found: dict[str, Gpu] = {}
    for entry in entries:
        name = _name_of(entry, known)
        if name is None:
            break
        found.setdefault(name, Gpu(entry, name))
    return list(found.values())


def _name_of(entry: str, known: Sequence[str] | None) -> str | None:
    """The uuid behind an entry; None where it names no GPU."""
    if entry.isascii() and entry.isdecimal():
        if known is None:
            return f"index-{int(entry)}"
        return known[int(entry)] if int(entry) < len(known) else None
    if not entry.startswith(("GPU-", "MIG-")):
        return None
    # A uuid may be cut where it is clear.
    alike = [uuid for uuid in known or () if uuid.startswith(entry)]
    return alike[0] if len(alike) == 1 else entry


def power_limit(index: int, environment: Mapping[str, str]) -> float | None:
    """The most watts that the driver lets a GPU draw; None where nobody tells.

    Args:
        index: Of the GPU among those that are visible, as CUDA counts them.
        environment: Of this process.
    """
    try:
        told = _ask_driver("power.limit", f"--id={visible_gpus(environment)[index].entry}")
        watts = float(told[0]) if told else math.nan
    except (UserError, IndexError, ValueError):  # a driver that is silent, a part of a GPU, `[N/A]`
        return None
    return watts if 0 < watts < math.inf else None


def _uuids() -> list[str] | None:
    """The uuids of this machine's GPUs by their index; None where there is no `nvidia-smi`."""
    return _ask_driver("uuid")


def _ask_driver(query: str, *more: str) -> list[str] | None:
    """What `nvidia-smi` answers, a line a GPU, without units; None where there is none."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    asked = [command, f"--query-gpu={query}", "--format=csv,noheader,nounits", *more]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or getattr(error, "stdout", None) or str(error)).strip()
        raise UserError(f"does not answer ({said})", file="nvidia-smi", remedy="is the driver loaded?") from None
    return [line.strip() for line in answer.splitlines() if line.strip()]


def _device_files() -> list[Gpu]:
    """GPUs by the driver's device files, which a container may have without `nvidia-smi`; CUDA counts them from 0."""
    numbers = sorted(int(path.name[6:]) for path in Path("/dev").glob("nvidia[0-9]*") if path.name[6:].isdecimal())
    return [Gpu(str(index), f"device-{number}") for index, number in enumerate(numbers)]


def lock_folder() -> Path:
    """The folder of this user's locks, under the system's temporary one.

    Raises:
        UserError: It cannot be made, or is another's: its locks would bind nobody.
    """
    folder = Path(f"softshare-gpus-{os.getuid()}")
    try:
        folder = Path(tempfile.gettempdir()) / folder
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise UserError(f"cannot be made ({error.strerror})", file=folder, remedy="set TMPDIR") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise UserError("is no folder of this user's own", file=folder, remedy="remove it, or set TMPDIR")
    return folder


def take(gpus: Sequence[Gpu], count: int) -> list[Gpu]:
    """Locks so many of some GPUs, and waits until as many are free.

    All or none are held at a time, so that those who wait for several cannot wait for each other; and of those who
    choose among the same GPUs one tries at a time, so that it gets several though others always want one.

    Returns:
        The GPUs, whose locks this process holds, and after it the command that takes its place.

    Raises:
        UserError: There are fewer in all, or the locks cannot be made.
    """
    if count > len(gpus):
        remedy = f"ask for at most as many, or set {_VARIABLE} to more"
        raise UserError(f"there are only {len(gpus)} GPUs here", key="GPUs", value=count, remedy=remedy)
    folder = lock_folder()
    among = hashlib.sha256("\n".join(sorted(gpu.name for gpu in gpus)).encode()).hexdigest()[:16]
    turn = _opened(folder / f"turn-{among}.lock")
    told = False
    if not _locked(turn):
        told = _tell_waiting(count, len(gpus))
        fcntl.flock(turn, fcntl.LOCK_EX)
    files = {gpu: _opened(folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', gpu.name)}.lock") for gpu in gpus}
    while True:
        held: list[Gpu] = []
        for gpu in gpus:
            if len(held) < count and _locked(files[gpu]):
                held.append(gpu)
        if len(held) == count:
            break
        for gpu in held:
            fcntl.flock(files[gpu], fcntl.LOCK_UN)
        told = told or _tell_waiting(count, len(gpus))
        # Two who choose among different GPUs are not to meet again and again.
        time.sleep(_LOOK_AGAIN_SECONDS * random.uniform(0.5, 1.5))
    for gpu, file in files.items():
        if gpu in held:
            os.set_inheritable(file, True)
        else:
            os.close(file)
    os.close(turn)
    return held


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UserError(f"cannot be opened ({error.strerror})", file=path, remedy="set TMPDIR") from None


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _tell_waiting(count: int, among: int) -> bool:
    print(f"softshare: waits for {count} of {among} GPUs, which other jobs hold", file=sys.stderr, flush=True)
    return True


def run_on_gpus(arguments: Sequence[str]) -> None:
    """Takes GPUs, and becomes the command, which sees these alone.

    Args:
        arguments: How many; with `--only N` the Nth of those visible or none; and after `--` the command.

    Raises:
        UserError: Arguments that cannot be, fewer GPUs than asked for, or a command that cannot be started.
    """
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    asked, command = " ".join(arguments[:end]), list(arguments[end + 1 :])
    match = re.fullmatch(r"([1-9][0-9]{0,3})(?: --only ([0-9]{1,4}))?", asked)
    if not match or not command:
        raise UserError("needs a number of GPUs from 1, and a command after --", key="GPUs", value=asked, remedy=_USAGE)
    gpus = visible_gpus(os.environ)
    if match[2]:
        number = int(match[2])
        if number >= len(gpus):
            problem = f"there are only {len(gpus)} GPUs here"
            raise UserError(problem, key="--only", value=number, remedy="they count from 0")
        gpus = [gpus[number]]
    taken = take(gpus, int(match[1]))
    os.environ[_VARIABLE] = ",".join(gpu.entry for gpu in taken)
    # A number stands for the GPU that the driver counts so; left to itself, CUDA would begin with the fastest.
    if os.environ.setdefault(_ORDER, _BY_PLACE) != _BY_PLACE and any(gpu.entry.isdecimal() for gpu in taken):
        told = f"{_ORDER} is {os.environ[_ORDER]}: the command may see other GPUs than those that are held for it"
        print(f"softshare: {told}; set it to {_BY_PLACE}, or name GPUs by their uuids", file=sys.stderr, flush=True)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise UserError(f"cannot be started ({error.strerror})", key="command", value=command[0]) from None


def main(arguments: Sequence[str]) -> int:
    """As `run_on_gpus`; bad input is one line.

    Returns:
        2, for where all is well the command has taken this process's place.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # while it waits there is nothing to tidy up
    try:
        run_on_gpus(arguments)
    except UserError as error:
        print(f"softshare: error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
