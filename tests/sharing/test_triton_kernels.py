"""The GPU's kernels, run by Triton's interpreter on a CPU: sums are those of a matrix product."""

import os
import subprocess
import sys

import pytest
import torch

from softshare.sharing import triton_synthesis

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
    pytest.importorskip("triton")
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    run = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, timeout=300)
    assert run.stdout.strip() == "as they should be", run.stderr[-3000:]


GPU = torch.device("cuda", 0)


@pytest.fixture
def launched(monkeypatch):
    """Launches, of which none is done, since there is no GPU."""
    asked = []
    ones = torch.ones
    monkeypatch.setattr(torch, "ones", lambda *size, device: ones(*size))
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(triton_synthesis, "_tried", {})
    monkeypatch.setattr(triton_synthesis, "weights", lambda *of: asked.append(of))
    return asked


def test_the_kernels_are_tried_once_on_each_gpu(launched):
    assert all(triton_synthesis._works_on(GPU) for _ in range(3)) and len(launched) == 1
    assert triton_synthesis._works_on(torch.device("cuda", 1)) and len(launched) == 2


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'triton'"),
        RuntimeError("Failed to find C compiler"),
        subprocess.CalledProcessError(1, ["gcc"]),
        OSError(28, "No space left on device"),
        AssertionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_where_the_kernels_cannot_be_made_torch_multiplies(launched, monkeypatch, error):
    def fails(*of):
        launched.append(of)
        raise error

    monkeypatch.setattr(triton_synthesis, "weights", fails)
    assert not any(triton_synthesis._works_on(GPU) for _ in range(3)) and len(launched) == 1


def test_nothing_is_tried_while_a_graph_is_recorded(launched, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    assert not triton_synthesis._works_on(GPU) and not launched
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    assert triton_synthesis._works_on(GPU) and len(launched) == 1
