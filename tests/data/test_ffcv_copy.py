"""Copies to a GPU, for which others stand in: from where, what waits for what, and that the host waits for nothing."""

import contextlib

import pytest
import torch

from softshare.data.ffcv_loader import Copy


class Stream:
    """Work that is done when it is waited for, and not before. The host cannot wait: there is no `synchronize`."""

    current = None

    def __init__(self, *_):
        self.work = []

    def wait_stream(self, other):
        self.work.append(other.run)

    def run(self):
        while self.work:
            self.work.pop(0)()


class Pinned:
    """Memory that a stream copies from by itself."""

    def __init__(self, shape, dtype):
        self.values = torch.zeros(shape, dtype=dtype)

    def copy_(self, values):
        self.values.copy_(values)

    def to(self, device, non_blocking):
        assert device.type == "cuda" and non_blocking
        copied = OnDevice()
        Stream.current.work.append(lambda: setattr(copied, "values", self.values.clone()))
        return copied


class OnDevice:
    values = used_by = None

    def record_stream(self, stream):
        self.used_by = stream


@pytest.fixture
def now(monkeypatch):
    """The stream that steps are computed on."""

    @contextlib.contextmanager
    def entered(stream):
        Stream.current = stream
        yield
        Stream.current = None

    def empty(shape, dtype, pin_memory):
        assert pin_memory
        return Pinned(shape, dtype)

    steps = Stream()
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", entered)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: steps)
    monkeypatch.setattr(torch, "empty", empty)
    return steps


def test_what_is_copied_may_be_written_over_before_the_copy_is_made(now):
    copy, memory = Copy(torch.device("cuda")), torch.zeros(3, 2, dtype=torch.uint8)
    copied = []
    for number in (1, 2, 3):
        memory.fill_(number)
        copied.append(copy(memory))
    memory.fill_(9)
    assert [each.values for each in copied] == [None] * 3 and now.work  # the host has waited for nothing
    now.run()
    assert [each.values.unique().tolist() for each in copied] == [[1], [2], [3]]
    assert all(each.values.shape == (3, 2) and each.values.dtype == torch.uint8 for each in copied)


def test_a_step_waits_for_its_own_copy_and_the_memory_for_the_step(now):
    copy, seen = Copy(torch.device("cuda")), []
    for number in (1, 2):
        copied = copy(torch.full((2,), number))
        now.work.append(lambda copied=copied: seen.append(copied.values.tolist()))
        assert copied.used_by is now
    now.run()
    assert seen == [[1, 1], [2, 2]]


def test_on_a_cpu_nothing_is_copied():
    values = torch.zeros(2)
    assert Copy(torch.device("cpu"))(values) is values
