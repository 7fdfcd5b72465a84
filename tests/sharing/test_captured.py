"""Weights under modes that fake or capture what is computed: nothing crashes, and nothing fake is kept."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import softshare
from softshare.sharing import native

# Of as many numbers that compiled code would take them.
FAKED = """
import torch, softshare
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
with FakeTensorMode(allow_non_fake_inputs=True) as mode:
    model = softshare.share(nn.Sequential(*[nn.Conv2d(96, 96, 3, padding=1) for _ in range(4)]), templates=2)
    loss = model(torch.randn(1, 96, 6, 6)).sum()
    loss.backward()
assert model[0].template_bank.template_stack.grad.shape == (192, 96, 3, 3)
real = softshare.share(nn.Sequential(*[nn.Conv2d(96, 96, 3, padding=1) for _ in range(4)]), templates=2)
with mode, torch.no_grad():
    real(mode.from_tensor(torch.randn(1, 96, 6, 6)))
print(real(torch.randn(1, 96, 6, 6)).shape)
"""


def test_large_fake_weights_do_not_reach_compiled_code():
    # In a process of its own: what goes wrong there is a segmentation fault.
    done = subprocess.run([sys.executable, "-c", FAKED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "[1, 96, 6, 6]" in done.stdout


def test_compiled_code_takes_plain_tensors_alone(monkeypatch):
    if native.library() is None:
        pytest.skip("no C compiler here")
    monkeypatch.setattr(native, "_SHARE", 16)

    class Kind(torch.Tensor):
        pass

    coefficients, templates = torch.randn(4, 2), torch.randn(2, 16)
    assert native.serves(coefficients, nn.Parameter(templates), torch.float32)
    assert not native.serves(coefficients, templates.as_subclass(Kind), torch.float32)
    assert not native.serves(coefficients.as_subclass(Kind), templates, torch.float32)
    assert not native.serves(coefficients, torch._to_functional_tensor(templates), torch.float32)
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert not native.serves(coefficients, templates, torch.float32)
