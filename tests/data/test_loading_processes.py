"""Processes that load end with the program, whoever still holds their loader."""

import subprocess
import sys

import pytest

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
