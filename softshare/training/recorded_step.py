"""Forward and backward of a training step as one CUDA graph, recorded once and replayed for every batch.

A GPU is done with a small network's step before Python has asked for all of it; a graph is asked for at once. It
computes the same, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from softshare.training.device import free_cublas_workspaces

# Steps of one size taken by themselves before one is recorded: libraries make plans and workspaces at first use.
_BEFORE = 3


class RecordedStep:
    """Gradients of a batch, by a graph where the batch is as large as the first one.

    What is recorded are operations on memory at fixed places. So whatever `step` reads and writes besides its arguments
    must stay where it is: parameters, buffers, counters.

    Args:
        model: The network, in training mode whenever this is called.
        step: Takes inputs and targets, computes a backward into empty gradients, and returns the detached loss.
        records: Whether to record at all; else every step is taken by itself.
    """

    def __init__(self, model: nn.Module, step: Callable[[Tensor, Tensor], Tensor], records: bool) -> None:
        self.model = model
        self.step = step
        self.records = records
        self._sizes: tuple[torch.Size, torch.Size] | None = None
        self._before = 0
        self._aside: torch.cuda.Stream | None = None
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Leaves the gradients with the parameters; returns the loss, good until the next call."""
        if not self.records:
            return self._by_itself(inputs, targets)
        sizes = (inputs.shape, targets.shape)
        self._sizes = self._sizes or sizes
        if sizes != self._sizes:
            return self._by_itself(inputs, targets)
        if self._before < _BEFORE:
            self._before += 1
            return self._beside(inputs, targets)
        if self._graph is None:
            self._record(inputs, targets)
        return self._replay(inputs, targets)

    def _by_itself(self, inputs: Tensor, targets: Tensor) -> Tensor:
        self.model.zero_grad(set_to_none=True)
        return self.step(inputs, targets)

    def _beside(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """On another stream than all else, as a graph is recorded; on one, for each would hold memory of its own."""
        self._aside = self._aside or torch.cuda.Stream()
        now, beside = torch.cuda.current_stream(), self._aside
        beside.wait_stream(now)
        with torch.cuda.stream(beside):
            loss = self._by_itself(inputs, targets)
        now.wait_stream(beside)
        return loss

    def _record(self, inputs: Tensor, targets: Tensor) -> None:
        self._inputs, self._targets = inputs.clone(), targets.clone()
        # Weights that a bank kept would be taken for constants, and the graph of a step before must be gone.
        self.model.train()
        self.model.zero_grad(set_to_none=True)
        # cuBLAS keeps a workspace for each stream. That of the steps before is not needed again. And every graph is
        # recorded on one stream: it takes a workspace of its own only where that of the graph before is forgotten, else
        # it would compute in memory that goes with that graph (https://github.com/pytorch/pytorch/issues/193402). For
        # the same reason the steps before do not share that stream.
        self._aside = None
        free_cublas_workspaces()
        self._graph = torch.cuda.CUDAGraph()
        # Loaders' threads may ask for pinned memory meanwhile.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._loss = self.step(self._inputs, self._targets)
        free_cublas_workspaces()  # which stays the graph's, and is kept no longer than that
        self._gradients = [(parameter, parameter.grad) for parameter in self.model.parameters()]
        self.model.train()

    def _replay(self, inputs: Tensor, targets: Tensor) -> Tensor:
        assert self._graph is not None
        self._inputs.copy_(inputs)
        self._targets.copy_(targets)
        self._graph.replay()
        for parameter, gradient in self._gradients:  # a step by itself had others
            parameter.grad = gradient
        return self._loss
