"""Processes that load end with the program, whoever still holds their loader; what befalls them is told in one line."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from softshare.data import loading_processes, worker_loader
from softshare.data.photograph_augment import PhotographAugmentation
from softshare.data.photograph_checks import Damage, find_damaged
from softshare.data.photograph_loader import PhotographLoader
from softshare.data.worker_loader import WorkerLoader
from softshare.errors import UserError

PROGRAM = """
import torch
from softshare.data import own_process
from softshare.data.worker_loader import WorkerLoader

own_process._STAYS = 3600  # seconds that they would keep this program from ending, were they left to Python
images, labels = torch.zeros(8, 3, 4, 4, dtype=torch.uint8), torch.zeros(8, dtype=torch.int64)
loader = WorkerLoader(images, labels, workers=2, batch_size=2, mean=(0.5,) * 3, std=(0.2,) * 3)
epoch = loader.epoch(0)
for _ in range({read}):
    next(epoch, None)
circle = [loader, epoch]
circle.append(circle)
"""


@pytest.mark.parametrize("read", [1, pytest.param(9, marks=pytest.mark.long)])
def test_a_program_ends_though_its_loader_is_held(read):
    program = [sys.executable, "-c", PROGRAM.format(read=read)]
    result = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


class Photographs:
    """Photographs the first of which something happens to where it is read."""

    labels = torch.zeros(8, dtype=torch.int64)

    def __init__(self, read):
        self.read = lambda index: read()

    def where(self, index):
        return f"photograph {index}"

    def __len__(self):
        return 8


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def hangs():
    """As code outside Python does: no signal but SIGKILL ends it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGALRM})
    time.sleep(3600)


def faulty():
    raise RuntimeError("a fault of ours")


def images(monkeypatch, befalls):
    """CIFAR's loader with worker processes."""
    give = worker_loader._Batches.__getitem__
    monkeypatch.setattr(
        worker_loader._Batches, "__getitem__", lambda self, numbers: befalls() if 4 in numbers else give(self, numbers)
    )
    return list(cifar().epoch(0))


def photographs(_, befalls):
    settings = {"batch_size": 2, "augmentation": PhotographAugmentation(crop=16), "workers": 1}
    return list(PhotographLoader(Photographs(befalls), **settings).epoch(0))


def checked(_, befalls):
    return find_damaged(Photographs(befalls), workers=1)


def cifar():
    pixels, labels = torch.zeros(8, 3, 4, 4, dtype=torch.uint8), torch.zeros(8, dtype=torch.int64)
    return WorkerLoader(pixels, labels, workers=1, batch_size=2, mean=(0.5,) * 3, std=(0.2,) * 3)


READERS = pytest.mark.parametrize("read", [images, photographs, checked])


def nobody_stays(before):
    for process in set(multiprocessing.active_children()) - before:
        process.join(60)
        assert not process.is_alive()


@READERS
def test_one_that_is_killed_is_told_of_in_one_line(monkeypatch, read):
    before = set(multiprocessing.active_children())
    # Why is told by the signal or by a broken pipe, whichever is heard of first.
    with pytest.raises(UserError, match=r"^workers: 1: a process that loads failed \(.+\); .*/dev/shm") as caught:
        read(monkeypatch, killed)
    assert "\n" not in str(caught.value)
    nobody_stays(before)


@READERS
def test_one_that_hangs_is_told_of_in_one_line_and_ended(monkeypatch, read):
    monkeypatch.setattr(loading_processes, "LIMIT", 1.0)
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.5)  # seconds that it is given to end
    before = set(multiprocessing.active_children())
    with pytest.raises(UserError, match=r"^workers: 1: a process that loads failed \(nothing came within 1 s\)"):
        read(monkeypatch, hangs)
    nobody_stays(before)


def test_one_that_is_killed_while_this_one_trains_is_told_of_in_one_line():
    epoch = cifar().epoch(0)
    before = set(multiprocessing.active_children())
    next(epoch)
    (process,) = set(multiprocessing.active_children()) - before
    with pytest.raises(UserError, match=r"^workers: 1: a process that loads failed \(.*Killed"):
        process.kill()
        time.sleep(60)


def test_the_next_epoch_after_a_death_starts_others(monkeypatch):
    loader = cifar()
    monkeypatch.setattr(worker_loader._Batches, "__getitem__", lambda *_: killed())
    with pytest.raises(UserError):
        list(loader.epoch(0))
    monkeypatch.undo()
    assert len(list(loader.epoch(1))) == 4


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    with pytest.raises(RuntimeError, match=r"(?s)Caught RuntimeError .* in faulty.*a fault of ours"):
        images(monkeypatch, faulty)


def test_a_process_that_checks_leaves_signals_to_this_one():
    seen = find_damaged(Photographs(lambda: signal.getsignal(signal.SIGINT)), workers=1)
    assert len(seen) == 8  # a number is no photograph
    kept = Photographs(lambda: (_ for _ in ()).throw(UserError(signal.getsignal(signal.SIGINT).name)))
    assert find_damaged(kept, workers=1)[0] == Damage("SIG_IGN", unreadable=True)
