"""What a step costs: operations, counted by torch on the real network, and the bytes that it holds and leaves.

The network lies on torch's meta device, where shapes are followed and nothing is computed. Counted at one example and
at two, the difference is an example's and the rest the step's own (the synthesis of shared weights). The recurrence
penalty, some thousand operations a step, is left out.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from softshare.forecast.workload import Workload
from softshare.models import create_model
from softshare.sharing import banks

_BYTES = 4  # of a parameter, in fp32
_STATES = {"sgd": 1, "adam": 2}  # that the optimiser keeps of each parameter


@dataclass(frozen=True)
class Counted:
    """What a network's training costs. A multiplication and an addition are two operations.

    Attributes:
        parameters: All of them.
        step_flops: Forward and backward, whatever the batch.
        example_flops: Forward and backward, an example.
        forward_flops: Forward alone, an example.
        saved_bytes: What the forward of a step keeps for its backward, whatever the batch, in fp32.
        example_bytes: The same for an example.
        state_bytes: Parameters, running statistics, gradients and the optimiser's state.
        kept_bytes: Weights and layer similarities that a complete run leaves.
        checkpoint_bytes: What it keeps besides while it trains.
    """

    parameters: int
    step_flops: int
    example_flops: int
    forward_flops: int
    saved_bytes: int
    example_bytes: int
    state_bytes: int
    kept_bytes: int
    checkpoint_bytes: int

    def training_flops(self, examples: int, steps: int = 1) -> int:
        """Of so many examples in so many steps."""
        return steps * self.step_flops + examples * self.example_flops

    def memory_bytes(self, batch: int) -> int:
        """Least memory of a step in fp32; kernels' workspaces and the dataset come on top."""
        return self.state_bytes + self.saved_bytes + batch * self.example_bytes


def count(work: Workload) -> Counted:
    """Counts what a workload's network costs; each network is counted once."""
    skip = work["skip"] if work.on_paths else None
    optimizer = "adam" if work.on_paths else work["optimizer"]
    similarities = len(work["similarity_at"]) * (len(work["windows"]) if work.on_paths else 1)
    return _count(work.setting.model, work.classes, work.inputs, skip, optimizer, similarities)


@functools.cache
def _count(
    model_name: str,
    classes: int | None,
    inputs: tuple[int, int, int],
    skip: str | None,
    optimizer: str,
    similarities: int,
) -> Counted:
    with torch.device("meta"):
        settings = {"num_classes": classes} if classes is not None else {"skip": skip}
        model = create_model(model_name, **settings)
    (forward, flops, saved), (forward2, flops2, saved2) = (_step(model, inputs, batch) for batch in (1, 2))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    buffers = sum(buffer.numel() for buffer in model.buffers())
    pairs = sum(bank.num_layers * (bank.num_templates + bank.num_layers) for bank in banks(model).values())
    states = _STATES[optimizer]
    return Counted(
        parameters=parameters,
        step_flops=2 * flops - flops2,
        example_flops=flops2 - flops,
        forward_flops=forward2 - forward,
        saved_bytes=max(2 * saved - saved2, 0),
        example_bytes=saved2 - saved,
        state_bytes=_BYTES * (parameters * (2 + states) + buffers),
        kept_bytes=_BYTES * (parameters + buffers + similarities * pairs),
        checkpoint_bytes=_BYTES * (parameters * (1 + states) + buffers),
    )


def _step(model: nn.Module, inputs: tuple[int, int, int], batch: int) -> tuple[int, int, int]:
    """Operations of a forward and of forward and backward, and the bytes that are kept between them."""
    own = {id(parameter) for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if id(tensor) not in own:
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage.nbytes()
        return tensor

    examples = torch.empty(batch, *inputs, device="meta")
    model.train()
    with FlopCounterMode(display=False) as counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda each: each):
        objective = model(examples).sum()
        forward = counter.get_total_flops()
        objective.backward()
    model.zero_grad(set_to_none=True)
    return forward, counter.get_total_flops(), sum(kept.values())
