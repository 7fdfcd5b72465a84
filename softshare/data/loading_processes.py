"""Processes that load for this one: kept from epoch to epoch, deaf to signals meant for this one, ended before it.

One that dies, or that gives nothing for too long, ends the command in one line.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import signal
import threading
import weakref
from collections.abc import Callable, Iterator, Sized
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from softshare.data.own_process import LIMIT, leave_signals
from softshare.errors import UserError

_REMEDY = "does the disk answer? else more memory, a larger /dev/shm, fewer --workers (0 = none) or another --loader"

# Once nothing has come for so many seconds, look whether the processes are still there.
_LOOK_AFTER = 5.0


def with_processes(batches: Dataset, sampler: Sampler | Sized, workers: int, device: torch.device) -> DataLoader[Any]:
    """A `DataLoader` of whole batches, to be read through `loaded`.

    Args:
        batches: A batch by what the sampler gives.
        sampler: What is asked for in an epoch, in order.
        workers: Processes; 0 = none but this one.
        device: Where batches go to; for a GPU they are pinned.
    """
    loader: DataLoader[Any] = DataLoader(
        batches,
        batch_size=None,
        sampler=sampler,  # type: ignore[arg-type]
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        timeout=LIMIT if workers else 0,
        # Its own: else it draws a seed from the one that dropout is drawn from.
        generator=torch.Generator(),
        worker_init_fn=leave_signals,
    )
    # Where a loader outlives the program (in a circle, or held by an epoch that nobody read to its end), torch leaves
    # its processes to Python, which sends SIGTERM and waits: they would stay for as long as `leave_signals` says.
    # Registered here and not on import: torch's own exit, after which it ends no process, then comes later.
    if workers:
        held = weakref.ref(loader)
        atexit.register(lambda: _end(held()))
    return loader


def loaded(loader: DataLoader[Any]) -> Iterator[Any]:
    """The batches of an epoch.

    Raises:
        UserError: A process that loads died, which is told wherever this one then is, or gave nothing within the limit.
    """
    if not loader.num_workers:
        yield from loader
        return
    with _in_one_line(loader):
        batches = _begun(loader)
        _watch(loader.num_workers)
    while True:
        with _in_one_line(loader):
            batch = _next(batches)
        if batch is None:
            return
        yield batch


def _begun(loader: DataLoader[Any]) -> Any:
    # What takes up the processes of the epoch before cannot be asked twice: it has the whole limit.
    if (kept := getattr(loader, "_iterator", None)) is not None:
        kept._timeout = loader.timeout
    batches: Any = iter(loader)
    # Torch looks whether they are alive each time that it has waited so long.
    batches._timeout = min(_LOOK_AFTER, LIMIT)
    return batches


def _next(batches: Any) -> Any:
    # Counted, not timed: a job that a scheduler suspends for hours has not hung.
    for _ in range(math.ceil(LIMIT / _LOOK_AFTER)):
        try:
            return next(batches, None)
        except RuntimeError as error:
            if not str(error).startswith("DataLoader timed out"):
                raise
    raise RuntimeError(f"nothing came within {LIMIT:g} s")


@contextlib.contextmanager
def _in_one_line(loader: DataLoader[Any]) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        _end(loader)
        # So begins what the work itself raised there: a fault of ours, told with its traceback.
        if not isinstance(error, RuntimeError | OSError | EOFError) or str(error).startswith("Caught "):
            raise
        raise _failed(error, loader.num_workers) from error


def _failed(error: Exception, workers: int) -> UserError:
    reason = str(error) or "it is gone"
    return UserError(f"a process that loads failed ({reason})", key="workers", value=workers, remedy=_REMEDY)


@dataclass
class _Watch:
    """Torch's handler of SIGCHLD, which raises in the midst of a step that a process has died: here, in one line."""

    handler: Callable[[int, FrameType | None], Any]
    workers: int = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        try:
            self.handler(number, frame)
        except RuntimeError as error:
            raise _failed(error, self.workers) from error


def _watch(workers: int) -> None:
    """Has a death told in one line; torch set its handler as the first processes started, in the main thread."""
    handler = signal.getsignal(signal.SIGCHLD)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        return
    if not isinstance(handler, _Watch):
        handler = _Watch(handler)
        signal.signal(signal.SIGCHLD, handler)
    handler.workers = workers


def _end(loader: DataLoader[Any] | None) -> None:
    """Ends the processes of a loader that is still there, as torch does at its last use; they can be started anew."""
    iterator: Any = getattr(loader, "_iterator", None)
    if loader is None or iterator is None:
        return
    loader._iterator = None
    iterator._shutdown_workers()
    # One that hangs outside Python has not heard of it, and this program would wait for it at its end.
    for process in iterator._workers:
        process.kill()
