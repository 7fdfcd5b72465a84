"""Processes that load for this one: kept from epoch to epoch, deaf to signals meant for this one, ended before it."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Sized
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from softshare.data.own_process import leave_signals


def with_processes(batches: Dataset, sampler: Sampler | Sized, workers: int, device: torch.device) -> DataLoader[Any]:
    """A `DataLoader` of whole batches.

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
        # Its own: else it draws a seed from the one that dropout is drawn from.
        generator=torch.Generator(),
        worker_init_fn=leave_signals,
    )
    # Where a loader outlives the program (in a circle, or held by an epoch that nobody read to its end), torch leaves
    # its processes to Python, which sends SIGTERM and waits: they would stay for as long as `leave_signals` says.
    # Registered here and not on import: torch's own exit, after which it ends no process, then comes later.
    if workers:
        atexit.register(_end, weakref.ref(loader))
    return loader


def _end(loader: weakref.ref[DataLoader[Any]]) -> None:
    """Ends the processes of a loader that is still there, as torch does at its last use."""
    iterator = getattr(loader(), "_iterator", None)
    if iterator is not None and hasattr(iterator, "_shutdown_workers"):
        iterator._shutdown_workers()
