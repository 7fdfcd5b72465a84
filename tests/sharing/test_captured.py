"""Weights under modes that fake or capture what is computed: nothing crashes, and nothing fake is kept."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

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


def _wide():
    """Of as many numbers that compiled code takes them, where there is a compiler."""
    torch.manual_seed(0)
    return softshare.share(nn.Sequential(*(nn.Linear(300, 300) for _ in range(3))), types=nn.Linear)


@pytest.mark.parametrize("trained", [True, False])
def test_forward_mode_derivatives_are_those_of_torch_func(trained):
    model = _wide()
    model.requires_grad_(trained)
    x = torch.randn(2, 300)
    values = {name: parameter.detach() for name, parameter in model.named_parameters()}
    tangents = {name: torch.randn_like(value) for name, value in values.items()}
    _, expected = torch.func.jvp(lambda state: functional_call(model, state, (x,)), (values,), (tangents,))
    model(x)  # leaves weights behind, which have no tangent
    with forward_ad.dual_level():
        duals = {name: forward_ad.make_dual(parameter, tangents[name]) for name, parameter in model.named_parameters()}
        tangent = forward_ad.unpack_dual(functional_call(model, duals, (x,))).tangent
    torch.testing.assert_close(tangent, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("layers", [3, 2])
def test_several_gradients_at_once_are_those_one_by_one(layers):
    """Also where a layer takes no part."""
    model = _wide()
    out = model[:layers](torch.randn(1, 300))[0, :3]
    parameters = list(model[0].template_bank.parameters())
    together = torch.autograd.grad(out, parameters, torch.eye(3), is_grads_batched=True, retain_graph=True)
    for row in range(3):
        alone = torch.autograd.grad(out[row], parameters, retain_graph=True)
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one[row], other, rtol=1e-4, atol=1e-4)


class Block(nn.Module):
    """Two layers of one group: a region that holds a block takes two weights of one bank."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x):
        return x + self.two(self.one(x).relu())


class Regions(nn.Module):
    """A network that runs its blocks in regions of a graph, from the first layer on."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.blocks = nn.ModuleList(Block() for _ in range(3))

    def forward(self, x):
        if self.kind == "cond":
            x = torch.cond(x.sum() > 0, self.blocks[0].forward, self.blocks[1].forward, (x,))
            return self.blocks[2](x)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False)
        return x


def gradients(model, out):
    found = torch.autograd.grad(out.square().sum(), list(model.parameters()), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(model.parameters(), found, strict=True)]


@pytest.mark.parametrize("whole", [True, False], ids=["model", "function"])
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("kind", ["checkpoint", "cond"])
def test_one_graph_holds_regions_that_begin_with_a_shared_layer(kind, backend, whole):
    torch.manual_seed(0)
    model = softshare.share(Regions(kind), 2, types=nn.Linear)
    compiled = torch.compile(model if whole else lambda x: model(x), backend=backend, fullgraph=True)
    for sign in (1, -1):  # each branch; with other weights the second time
        x = sign * torch.rand(4, 6)
        ours, theirs = compiled(x), model(x)
        torch.testing.assert_close(ours, theirs)
        for mine, yours in zip(gradients(model, ours), gradients(model, theirs), strict=True):
            torch.testing.assert_close(mine, yours)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.5)


@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_program_may_branch_over_shared_layers(strict):
    torch.manual_seed(0)
    model = softshare.share(Regions("cond"), 2, types=nn.Linear)
    program = torch.export.export(model, (torch.rand(4, 6),), strict=strict).module()
    for sign in (1, -1):
        x = sign * torch.rand(4, 6)
        torch.testing.assert_close(program(x), model(x))


def test_what_a_traced_forward_left_behind_is_not_used_after_the_next():
    """Dynamo drops what happens after a `torch.cond`, so the end of such a forward goes unseen."""
    torch.manual_seed(0)
    model = softshare.share(Regions("cond"), 2, types=nn.Linear)
    x = torch.rand(4, 6)
    torch.compile(lambda x: model(x), backend="eager", fullgraph=True)(x)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    expected = model(x)
    part = torch.compile(model.blocks[2], backend="eager", fullgraph=True)
    torch.testing.assert_close(part(model.blocks[0](x)), expected)


def convolutions(program):
    """Calls in an exported graph, by name."""
    return [node.target.__name__ for node in program.graph.nodes if node.op == "call_function"]


def test_a_bank_that_was_cut_off_is_in_no_graph():
    torch.manual_seed(0)
    stages = [nn.Sequential(*[nn.Conv2d(4, 4, size, padding="same") for _ in range(3)]) for size in (3, 1)]
    model = softshare.share(nn.Sequential(*stages), 2).eval()
    images = torch.randn(2, 4, 6, 6)
    model[1] = nn.Identity()  # a backbone
    expected = model(images)
    program = torch.export.export(model, (images,), strict=False)
    assert convolutions(program).count("matmul.default") == 1 and not program.constants
    torch.testing.assert_close(program.module()(images), expected)
    torch.testing.assert_close(torch.jit.trace(model, images)(images), expected)


@pytest.mark.parametrize("calls", [1, 2])
def test_a_graph_mixes_each_bank_once_however_often_share_was_called(calls):
    torch.manual_seed(0)
    model = nn.Sequential(*[nn.Conv2d(4, 4, size, padding="same") for size in (3, 3, 1, 1)])
    sizes = [(3, 1)] if calls == 1 else [(3,), (1,)]
    for of in sizes:
        softshare.share(
            model, 2, lambda name, module, of=of: str(module.kernel_size) if module.kernel_size[0] in of else None
        )
    images = torch.randn(2, 4, 6, 6)
    program = torch.export.export(model, (images,), strict=False)
    assert convolutions(program).count("matmul.default") == 2 == len(softshare.banks(model))
    torch.testing.assert_close(program.module()(images), model(images))
