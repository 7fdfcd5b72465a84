"""Weights under modes that fake or capture what is computed: nothing crashes, and nothing fake is kept."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

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


def small():
    torch.manual_seed(0)
    return softshare.share(nn.Sequential(*[nn.Conv2d(4, 4, 3, padding=1) for _ in range(3)]), templates=2)


def test_what_a_fake_forward_made_is_not_kept():
    model = small().eval()
    images = torch.randn(2, 4, 6, 6)
    with torch.no_grad():
        expected = model(images)
        softshare.banks(model)["Conv2d 4x4x3x3"].forget()
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            model(mode.from_tensor(images))
        after = model(images)
    assert type(after) is torch.Tensor
    torch.testing.assert_close(after, expected)


class _Kind(torch.Tensor):
    pass


class _MakesItsOwn(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        return made.as_subclass(_Kind) if type(made) is torch.Tensor and func is torch.ops.aten.mm.default else made


def test_weights_that_are_no_plain_tensors_are_not_kept():
    bank = softshare.TemplateBank(3, 2, (4, 4))
    with torch.no_grad():
        with _MakesItsOwn():
            bank.weight(0)
        assert type(bank.weight(0)) is torch.Tensor


def test_make_fx_captures_the_weights_in_the_graph():
    model = small()
    images = torch.randn(2, 4, 6, 6)
    start = dict(model.named_parameters())
    graph = make_fx(lambda parameters: functional_call(model, parameters, (images,)))(start)
    other = {name: parameter.detach() * 0.5 for name, parameter in start.items()}
    torch.testing.assert_close(graph(other), functional_call(model, other, (images,)))
    weights = [node for node in graph.graph.nodes if node.target is torch.ops.aten.mm.default]
    assert len(weights) == 1  # computed once for all layers
