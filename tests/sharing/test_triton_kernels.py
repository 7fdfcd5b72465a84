"""The GPU's kernels, run by Triton's interpreter on a CPU: sums are those of a matrix product."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

CODE = """
import torch
from softshare.sharing import triton_synthesis as kernels

torch.manual_seed(0)
for layers, templates, size in [(6, 6, 5000), (3, 1, 1), (5, 2, 1024), (4, 4, 1023)]:
    mixing, bank = torch.randn(layers, templates), torch.randn(templates, size)
    for dtype in (torch.float32, torch.bfloat16):
        wanted = (mixing.double() @ bank.double()).to(torch.float32)
        found = kernels.weights(mixing, bank, dtype)
        assert found.dtype == dtype and found.shape == (layers, size)
        tolerance = 1e-5 if dtype == torch.float32 else 1e-2
        torch.testing.assert_close(found.float(), wanted, rtol=tolerance, atol=tolerance)
        rows = [torch.randn(size).to(dtype) for _ in range(layers)]
        stacked = torch.stack(rows).double()
        for_mixing, for_bank = kernels.gradients(mixing, bank, rows)
        torch.testing.assert_close(for_mixing, (stacked @ bank.double().t()).float(), rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(for_bank, (mixing.double().t() @ stacked).float(), rtol=1e-4, atol=1e-4)
print("as they should be")
"""


@pytest.mark.slow
def test_the_kernels_sums_are_those_of_a_matrix_product():
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    run = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, timeout=300)
    assert run.stdout.strip() == "as they should be", run.stderr[-3000:]
