"""Several processes that train one network, a GPU each, as `training.launch` or `torchrun` starts them.

Each process takes its part of every batch (`data.loaders.Part`), so that a batch is as large, and an epoch sees the
images in the same order, however many processes there are. Only the first process writes.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from softshare.data.loaders import Part
from softshare.errors import UserError

# As long as the slowest process may keep the others waiting: reading ImageNet's folders from a cold network disk.
_PATIENCE = timedelta(minutes=30)
_GRACE_SECONDS = 10
# Not empty once this process failed among others over NCCL.
_left_alone: list[bool] = []
_MOST, _DIGITS = 100_000, re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Processes:
    """The processes of a run, seen from one of them.

    Attributes:
        rank: This one's number, from 0.
        count: How many there are.
        local_rank: This one's number on its machine: that of its GPU.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    @property
    def part(self) -> Part:
        """What this one takes of each batch."""
        return Part(self.rank, self.count)

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes, in place."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def gather(self, value: Any) -> list[Any]:
        """What each process gives, in the order of their numbers: something small, for it is pickled."""
        given: list[Any] = [value] * self.count
        if self.count > 1:
            distributed.all_gather_object(given, value)
        return given

    def wait(self) -> None:
        """Waits until all are here: what the first wrote is then there for all."""
        if self.count > 1:
            distributed.barrier()

    def averaging(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network as it is trained: its gradients are averaged over all processes during each backward."""
        if self.count == 1:
            return network
        devices = [device] if device.type == "cuda" else None
        with warnings.catch_warnings():
            # That a newer argument stands beside `broadcast_buffers`; older releases of torch know this one alone.
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(network, device_ids=devices, broadcast_buffers=False)

    def give_buffers(self, model: nn.Module) -> None:
        """Gives the first process's buffers to all: batch norm's running statistics, each its own while training."""
        if self.count > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, src=0)


ALONE = Processes()


def named_by_torchrun() -> Processes:
    """The processes that `torchrun` tells of in the environment; one where it tells of none.

    Raises:
        UserError: What stands there is no number.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    told = [os.environ.get(name) for name in names]
    if told[1] is None:
        return ALONE
    for name, value in zip(names, told, strict=True):
        if value is None or not _DIGITS.fullmatch(value):
            raise UserError("must be a whole number", file="environment", key=name, value=value, remedy="use torchrun")
    rank, count, local_rank = (int(value) for value in told if value is not None)
    if not (1 <= count <= _MOST and 0 <= rank < count and local_rank < count):
        value = " ".join(f"{name}={found}" for name, found in zip(names, (rank, count, local_rank), strict=True))
        raise UserError("are no process of a run", file="environment", key="RANK", value=value, remedy="use torchrun")
    if count == 1:
        return ALONE
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        place = os.environ.get(name, "")
        if not place or (name == "MASTER_PORT" and not (_DIGITS.fullmatch(place) and 0 < int(place) < 65536)):
            problem = "must tell where the processes find each other"
            raise UserError(problem, file="environment", key=name, value=place, remedy="use torchrun")
    return Processes(rank, count, local_rank)


def device_name(name: str, processes: Processes) -> str:
    """The device that one of several processes computes on: `auto` and `cuda` are the GPU of its number.

    Raises:
        UserError: Several processes are to share one device of a given number.
    """
    if processes.count == 1:
        return name
    if name.startswith("cuda:"):
        raise UserError(
            f"is one device for {processes.count} processes",
            key="device",
            value=name,
            remedy="say cuda: each takes one",
        )
    on_gpu = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return f"cuda:{processes.local_rank}" if on_gpu else name


@contextlib.contextmanager
def together(processes: Processes, device: torch.device) -> Iterator[None]:
    """Lets the processes of a run find each other, over NCCL on GPUs and gloo on CPUs.

    Raises:
        UserError: Another process ended while this one needed it.
    """
    if processes.count == 1:
        yield
        return
    on_gpus = device.type == "cuda"
    if on_gpus:
        torch.cuda.set_device(device)
    # Without the device NCCL guesses it at the first barrier, and warns.
    distributed.init_process_group(
        "nccl" if on_gpus else "gloo", timeout=_PATIENCE, device_id=device if on_gpus else None
    )
    failed = True
    try:
        yield
        failed = False
    except RuntimeError as error:
        if not _lost_another(error):
            raise
        # What was wrong, the other has told: whoever started both is about to end this one.
        time.sleep(_GRACE_SECONDS)
        problem = "another process of the run ended, so that this one cannot go on"
        raise UserError(problem, key="process", value=processes.rank) from error
    finally:
        # NCCL takes its leave of all others together, and these wait for this one in a sum that it never comes to. So
        # it is left alone where something failed, for what was wrong to be told at once.
        if failed and on_gpus:
            _left_alone.append(True)
        else:
            distributed.destroy_process_group()


def left_alone() -> bool:
    """Whether others wait for this process, which failed: it must not end as Python does, which waits for them."""
    return bool(_left_alone)


def _lost_another(error: RuntimeError) -> bool:
    """Whether a collective failed because a process is gone: gloo tells it in words alone."""
    return isinstance(error, distributed.DistError) or "gloo" in str(error)
