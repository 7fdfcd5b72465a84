"""Batch norm over two processes computes what one computes on their batches together, and without a deprecated call."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

# 5 images in two processes, 3 and 2.
PART = """
import sys
import torch
from torch import distributed, nn
from softshare.training.batch_norm import synchronise_batch_norm

rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
images, weight = torch.load(f"{folder}/given.pt", weights_only=True)
images, weight = (each[3 * rank : 3 + 2 * rank] for each in (images, weight))
model = synchronise_batch_norm(nn.Sequential(nn.BatchNorm2d(4)), torch.device("cpu"))
images.requires_grad_()
out = model(images)
(out * weight).sum().backward()
state = {name: value.clone() for name, value in model.state_dict().items()}
torch.save((out.detach(), images.grad, state), f"{folder}/{rank}.pt")
distributed.barrier()
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_are_one_with_both_batches(tmp_path):
    torch.manual_seed(0)
    images, weight = torch.randn(5, 4, 3, 3) * 2 + 1, torch.randn(5, 4, 3, 3)
    torch.save((images, weight), tmp_path / "given.pt")
    command = [sys.executable, "-W", "error::FutureWarning", "-c", PART]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    parts = [
        subprocess.Popen([*command, str(rank), str(tmp_path)], env=environment, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    said = [part.communicate(timeout=120)[1] for part in parts]
    assert [part.returncode for part in parts] == [0, 0], said
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]

    alone = nn.Sequential(nn.BatchNorm2d(4))
    images.requires_grad_()
    out = alone(images)
    (out * weight).sum().backward()
    torch.testing.assert_close(torch.cat([found[0][0], found[1][0]]), out.detach())
    torch.testing.assert_close(torch.cat([found[0][1], found[1][1]]), images.grad)
    for _, _, state in found:
        torch.testing.assert_close(state, dict(alone.state_dict()))
