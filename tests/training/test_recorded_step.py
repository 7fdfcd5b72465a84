"""Which runs record their steps, and what is left of it where none is recorded. What is recorded: tests/gpu."""

import contextlib
import dataclasses
import gc
import weakref

import pytest
import torch
from torch import nn

from softshare.training import recorded_step
from softshare.training.engine import start_training
from softshare.training.processes import Processes
from softshare.training.recorded_step import RecordedStep

ON_GPU = {"device": torch.device("cuda"), "precision": "bf16", "dataset": "cifar10"}


@pytest.mark.parametrize(
    ("changes", "records"),
    [
        ({}, True),
        ({"dataset": "shortest-paths"}, True),
        ({"precision": "tf32"}, True),
        ({"cuda_graph": False}, False),
        ({"device": torch.device("cpu")}, False),
        ({"device": torch.device("mps")}, False),
        ({"compile": True}, False),
        ({"precision": "fp16"}, False),
        ({"dataset": "imagenet"}, False),
        ({"processes": Processes(0, 2, 0)}, False),
    ],
    ids=str,
)
def test_steps_are_recorded_where_a_gpu_waits_for_python(job, changes, records):
    assert dataclasses.replace(job, **ON_GPU | changes).records is records


@pytest.mark.parametrize(("device", "asked"), [("cuda", []), ("cuda:1", [1])])
def test_a_card_named_by_its_number_becomes_the_current_one(job, images, tmp_path, monkeypatch, device, asked):
    """Up to where it would be computed on, which without the card fails."""
    made = []
    monkeypatch.setattr(torch.cuda, "set_device", lambda which: made.append(torch._utils._get_device_index(which)))

    def no_card(*_, **__):
        raise MemoryError

    monkeypatch.setattr(nn.Module, "to", no_card)
    with pytest.raises(MemoryError):
        start_training(dataclasses.replace(job, device=torch.device(device)), images, tmp_path)
    assert made == asked


def test_whether_steps_are_recorded_is_no_part_of_what_a_run_is(job):
    on_gpu = dataclasses.replace(job, **ON_GPU)
    assert on_gpu.identity("f") == dataclasses.replace(on_gpu, cuda_graph=False).identity("f")


def test_a_step_by_itself_leaves_the_gradients_of_its_batch_alone():
    model = nn.Linear(2, 1, bias=False)

    def step(inputs, targets):
        loss = (model(inputs) - targets).square().mean()
        loss.backward()
        return loss.detach()

    gradients_of = RecordedStep(model, step, records=False)
    first, second = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    gradients_of(first, torch.zeros(1, 1))
    loss = gradients_of(second, torch.zeros(1, 1))
    weight = model.weight.detach()[0]
    assert float(loss) == pytest.approx(float(weight[1]) ** 2)
    assert model.weight.grad[0].tolist() == pytest.approx([0.0, 2 * float(weight[1])])


def test_a_run_that_nobody_holds_is_gone_with_its_network(job, images, tmp_path):
    """Else each would keep its graph and all else on the GPU until Python looks for circles, which may be never."""
    gc.collect()
    gc.disable()
    try:
        training = start_training(job, images, tmp_path)
        training.run_epoch(0, progress=False)
        held = [weakref.ref(each) for each in (training, training.gradients_of, training.model, training.optimizer)]
        held += [weakref.ref(parameter) for parameter in training.model.parameters()]
        del training
        assert [each() for each in held] == [None] * len(held)
    finally:
        gc.enable()


class Stream:
    def wait_stream(self, other):
        assert other is not self


class Graph:
    def replay(self):
        pass


def test_a_recorded_step_keeps_no_workspace_and_shares_none(monkeypatch):
    """Of cuBLAS, which has one for each stream; in what order, told by a GPU that does nothing."""
    done = []

    @contextlib.contextmanager
    def entered(kind, which):
        done.append((kind, which))
        yield

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: entered("beside", stream))
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, **_: entered("recorded", None))
    monkeypatch.setattr(recorded_step, "free_cublas_workspaces", lambda: done.append(("freed", None)))
    model = nn.Linear(2, 1)

    def step(inputs, targets):
        loss = (model(inputs) - targets).square().mean()
        loss.backward()
        return loss.detach()

    gradients_of = RecordedStep(model, step, records=True)
    for _ in range(5):
        gradients_of(torch.ones(1, 2), torch.ones(1, 1))
    assert [kind for kind, _ in done] == ["beside"] * 3 + ["freed", "recorded", "freed"]
    assert len({stream for kind, stream in done if kind == "beside"}) == 1
