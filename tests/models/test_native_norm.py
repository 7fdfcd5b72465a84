"""Batch norm and ReLU at once: against torch in double precision, and wherever torch itself has to do it."""

import copy
import itertools
import os
import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import softshare
from softshare.models import native_norm
from softshare.models.native_norm import norm_relu

# What rounding to the type may cost, relative to the size of the whole.
ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 6e-3}


@pytest.fixture(autouse=True)
def _compiler():
    if not shutil.which("cc") or os.environ.get("SOFTSHARE_NATIVE") == "0":
        pytest.skip("no C compiler")
    assert native_norm.library() is not None


def make_norm(channels, momentum=0.1, seed=0):
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(channels, momentum=momentum)
    with torch.no_grad():
        norm.weight.uniform_(-1.5, 1.5)
        norm.bias.uniform_(-0.5, 0.5)
    return norm


def make_images(*shape, dtype=torch.float32, off=0.0):
    images = (torch.randn(shape) + off).to(dtype)
    return images.contiguous(memory_format=torch.channels_last).requires_grad_()


def served(norm, x, skipped=None):
    return native_norm._serves(norm, nn.ReLU(), x, skipped)


def in_double(norm, x, skipped, gradient):
    """What torch computes in double precision: the activations, and gradients for x, weight, bias and skipped."""
    norm = copy.deepcopy(norm).double()
    leaves = [each.detach().double().requires_grad_() for each in (x, skipped) if each is not None]
    y = norm(leaves[0]).relu()
    y = y if skipped is None else y + leaves[1]
    y.backward(gradient.double())
    return norm, [y, leaves[0].grad, norm.weight.grad, norm.bias.grad, *(leaf.grad for leaf in leaves[1:])]


def off_by(got, wanted):
    wanted = wanted.detach()
    return float((got.detach().double() - wanted).norm() / (1e-3 * wanted.numel() ** 0.5 + wanted.norm()))


@given(
    images=st.integers(1, 5),
    channels=st.sampled_from([1, 2, 3, 5, 16, 24, 64, 100, 640, 1025]),
    height=st.integers(1, 9),
    width=st.integers(2, 9),
    dtype=st.sampled_from(sorted(ROUNDING, key=str)),
    skips=st.booleans(),
    threads=st.booleans(),
    off=st.sampled_from([0.0, 3.0, -100.0]),
    momentum=st.sampled_from([0.1, None]),
    seed=st.integers(0, 1000),
)
def test_it_is_what_torch_computes_in_double(
    images, channels, height, width, dtype, skips, threads, off, momentum, seed
):
    norm = make_norm(channels, momentum, seed)
    x = make_images(images, channels, height, width, dtype=dtype, off=off)
    skipped = make_images(images, channels, height, width, dtype=dtype) if skips else None
    gradient = torch.randn_like(x)
    assert served(norm, x, skipped)
    exact, wanted = in_double(norm, x, skipped, gradient)
    before = copy.deepcopy(norm).double()(x.detach().double())
    with pytest.MonkeyPatch.context() as patch:
        if threads:
            patch.setattr(native_norm, "_threads", lambda _: 3)
        y = norm_relu(norm, nn.ReLU(), x, skipped)
        y.backward(gradient)
    found = [y, x.grad, norm.weight.grad, norm.bias.grad, *([skipped.grad] if skips else [])]
    assert y.dtype == x.grad.dtype == dtype and y.is_contiguous(memory_format=torch.channels_last)
    exactness = ROUNDING[dtype] + 1e-5 * abs(off)
    assert off_by(y, wanted[0]) < exactness
    if skips:
        assert torch.equal(skipped.grad, gradient)
    # On the edge of 0 a rounding decides whether a gradient passes.
    if before.abs().min() > 1e-5 * (1 + abs(off)):
        for got, want in zip(found[1:4], wanted[1:4], strict=True):
            assert off_by(got, want) < exactness
    assert off_by(norm.running_mean, exact.running_mean) < 1e-5 * (1 + abs(off))
    assert off_by(norm.running_var, exact.running_var) < 1e-5 * (1 + abs(off))
    assert norm.num_batches_tracked == 1


def test_a_large_batch_is_summed_without_loss():
    """More blocks than are summed in float, and a mean that is large beside the deviation."""
    norm = make_norm(4)
    x = make_images(8, 4, 200, 200, off=1000.0)
    gradient = torch.randn_like(x)
    exact, wanted = in_double(norm, x, None, gradient)
    y = norm_relu(norm, nn.ReLU(), x)
    y.backward(gradient)
    assert off_by(norm.running_mean, exact.running_mean) < 1e-6
    assert off_by(norm.running_var, exact.running_var) < 1e-5
    assert off_by(norm.bias.grad, wanted[3]) < 1e-2 and off_by(norm.weight.grad, wanted[2]) < 1e-2


def test_one_pixel_far_from_all_others_takes_nothing_from_the_variance():
    norm, x = make_norm(2), make_images(4, 2, 100, 100).detach()
    x[0, :, 0, 0] = 1e4
    exact, wanted = in_double(norm, x.requires_grad_(), None, torch.ones_like(x))
    y = norm_relu(norm, nn.ReLU(), x)
    torch.testing.assert_close(norm.running_var.double(), exact.running_var, rtol=1e-4, atol=0)
    assert off_by(y, wanted[0]) < 1e-4


def test_twice_gives_the_same_bits():
    x, gradient = make_images(16, 32, 16, 16, dtype=torch.bfloat16), torch.randn(16, 32, 16, 16).bfloat16()
    found = []
    for _ in range(2):
        norm = make_norm(32)
        y = norm_relu(norm, nn.ReLU(), x)
        found.append([y, *torch.autograd.grad(y, (x, norm.weight, norm.bias), gradient), norm.running_var])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("skips", [False, True])
def test_second_derivatives_are_those_of_torch(skips):
    """Of a norm that is passed twice, so that what it normalises depends on its own weight."""
    norm, x = make_norm(3), make_images(2, 3, 4, 4)
    doubled = []
    norm.weight.register_hook(doubled.append)

    def ours(x):
        return norm_relu(norm, nn.ReLU(), x, x if skips else None)

    def theirs(x):
        return x + norm(x).relu() if skips else norm(x).relu()

    found = []
    for way in (ours, theirs):
        leaves = (x, norm.weight, norm.bias)
        slopes = torch.autograd.grad(way(way(x)).square().sum(), leaves, create_graph=True)
        found.append([*slopes, *torch.autograd.grad(slopes[0].square().sum(), leaves)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-2)
    assert len(doubled) == 4


def test_what_is_skipped_alone_has_a_second_derivative():
    norm, x = make_norm(3).requires_grad_(False), make_images(2, 3, 4, 4).detach()
    skipped = make_images(2, 3, 4, 4)
    (slope,) = torch.autograd.grad(norm_relu(norm, nn.ReLU(), x, skipped).square().sum(), skipped, create_graph=True)
    (second,) = torch.autograd.grad(slope.sum(), skipped)
    torch.testing.assert_close(second, torch.full_like(skipped, 2.0))


def test_many_gradients_at_once_and_tensors_kept_elsewhere():
    norm, x = make_norm(3), make_images(2, 3, 4, 4)
    directions = torch.randn(5, 2, 3, 4, 4)
    with torch.autograd.graph.save_on_cpu():
        y = norm_relu(norm, nn.ReLU(), x)
    (batched,) = torch.autograd.grad(y, x, directions, is_grads_batched=True, retain_graph=True)
    for direction, got in zip(directions, batched, strict=True):
        (want,) = torch.autograd.grad(norm(x).relu(), x, direction)
        torch.testing.assert_close(
            torch.autograd.grad(y, x, direction, retain_graph=True)[0], want, rtol=1e-3, atol=1e-4
        )
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-4)


def test_saved_tensors_may_come_back_in_another_layout():
    norm, x = make_norm(3), make_images(2, 3, 4, 4)
    with torch.autograd.graph.saved_tensors_hooks(lambda saved: saved.contiguous(), lambda kept: kept):
        y = norm_relu(norm, nn.ReLU(), x)
    gradient = torch.randn_like(y)
    (got,), (want,) = torch.autograd.grad(y, x, gradient), torch.autograd.grad(norm(x).relu(), x, gradient)
    torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-4)


def test_another_default_type():
    try:
        torch.set_default_dtype(torch.float64)
        norm, x = make_norm(3).float(), make_images(2, 3, 4, 4)
        assert served(norm, x)
        y = norm_relu(norm, nn.ReLU(), x)
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(y, norm(x).relu())


@pytest.mark.parametrize("frozen", [("weight",), ("weight", "bias"), ("x",)])
def test_what_is_not_trained_gets_no_gradient(frozen):
    norm, x = make_norm(3), make_images(2, 3, 4, 4)
    leaves = {"x": x, "weight": norm.weight, "bias": norm.bias}
    for name in frozen:
        leaves[name].requires_grad_(False)
    trained = [leaf for name, leaf in leaves.items() if name not in frozen]
    for again in (False, True):
        y = norm_relu(norm, nn.ReLU(), x)
        for got, want in zip(
            torch.autograd.grad(y.sum(), trained, create_graph=again),
            torch.autograd.grad(norm(x).relu().sum(), trained),
            strict=True,
        ):
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_what_is_no_number_stays_none():
    norm, x = make_norm(2), make_images(2, 2, 3, 3).detach()
    x[0, 0, 0, 0] = float("nan")
    y = norm_relu(norm, nn.ReLU(), x)
    assert y[:, 0].isnan().all() and not y[:, 1].isnan().any()


def hooked(norm, x):
    norm.register_forward_hook(lambda *_: None)


def frozen_statistics(norm, x):
    norm.track_running_stats = False


def own_forward(norm, x):
    norm.forward = nn.Identity().forward


LEFT_TO_TORCH = {
    "frozen statistics": frozen_statistics,
    "a forward of its own": own_forward,
    "no bias": lambda norm, x: nn.BatchNorm2d(4, bias=False),
    "other channels": lambda norm, x: nn.BatchNorm2d(8),
    "double": lambda norm, x: norm.double(),
    "evaluation": lambda norm, x: norm.eval(),
    "a hook": hooked,
    "no affine": lambda norm, x: nn.BatchNorm2d(4, affine=False),
    "another kind": lambda norm, x: nn.SyncBatchNorm(4),
}


@pytest.mark.parametrize("case", LEFT_TO_TORCH)
def test_a_norm_that_is_left_to_torch(case):
    norm, x = make_norm(4), make_images(2, 4, 3, 3)
    assert served(norm, x)
    assert not served(LEFT_TO_TORCH[case](norm, x) or norm, x)


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(2, 4, 3, 3),
        torch.randn(2, 4, 3, 3).double().contiguous(memory_format=torch.channels_last),
        torch.randn(1, 4, 1, 1).contiguous(memory_format=torch.channels_last),
        torch.randn(0, 4, 3, 3).contiguous(memory_format=torch.channels_last),
        torch.empty(2, 4, 3, 3, device="meta").contiguous(memory_format=torch.channels_last),
    ],
    ids=["NCHW", "double", "one value", "no images", "meta"],
)
def test_images_that_are_left_to_torch(x):
    assert not served(make_norm(4), x)


def test_hooks_are_called():
    norm, relu, called = make_norm(4), nn.ReLU(), []
    norm.register_forward_hook(lambda *_: called.append("norm"))
    relu.register_forward_hook(lambda *_: called.append("relu"))
    norm_relu(norm, relu, make_images(2, 4, 3, 3))
    assert called == ["norm", "relu"]


def test_in_a_transform_torch_computes():
    norm = make_norm(3)
    norm.track_running_stats, norm.running_mean, norm.running_var = False, None, None
    x = make_images(4, 3, 4, 4).detach()
    ours = torch.func.vmap(lambda image: norm_relu(norm, nn.ReLU(), image[None]))(x)
    torch.testing.assert_close(ours, torch.stack([norm(image[None]).relu() for image in x]))
    slopes = torch.func.vmap(torch.func.grad(lambda image: norm_relu(norm, nn.ReLU(), image[None]).sum()))(x)
    assert slopes.shape == x.shape
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
        assert torch.autograd.forward_ad.unpack_dual(norm_relu(norm, nn.ReLU(), dual)).tangent is not None


def test_a_network_is_traced_symbolically():
    traced = torch.fx.symbolic_trace(softshare.create_model("wrn-10-1"))
    assert any("norm" in str(node.target) for node in traced.graph.nodes)


@pytest.mark.parametrize("name", ["wrn-10-1", "swrn-16-1-2", "cnn-4", "scnn-4"])
def test_a_network_learns_the_same_with_and_without(name, monkeypatch):
    """Losses of some steps, and every buffer after them."""
    found = []
    for library in (native_norm.library, lambda: None):
        monkeypatch.setattr(native_norm, "library", library)
        torch.manual_seed(0)
        model = softshare.create_model(name).to(memory_format=torch.channels_last)
        channels = 2 if "cnn" in name else 3
        images = torch.randn(8, channels, 16, 16).contiguous(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        losses = []
        for _ in range(3):
            loss = model(images).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        found.append((losses, dict(model.named_buffers())))
    (losses, buffers), (others, other_buffers) = found
    assert losses == pytest.approx(others, rel=1e-4) and len(set(losses)) == 3
    for key, buffer in buffers.items():
        torch.testing.assert_close(buffer, other_buffers[key], rtol=1e-3, atol=1e-4, msg=key)


@pytest.mark.parametrize("name", ["wrn-10-1", "scnn-4"])
def test_the_networks_own_calls_are_served(name):
    """In training, in either precision."""
    taken = []
    model = softshare.create_model(name).to(memory_format=torch.channels_last)
    images = torch.randn(4, 2 if "cnn" in name else 3, 32, 32).contiguous(memory_format=torch.channels_last)
    original = native_norm._NormRelu.apply
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native_norm._NormRelu, "apply", lambda *args: (taken.append(args[0].dtype), original(*args))[1])
        for enabled, training in itertools.product((False, True), (False, True)):
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                model.train(training)(images)
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert taken == [torch.float32] * norms + [torch.bfloat16] * norms


@pytest.mark.parametrize("name", ["wrn-10-1", "scnn-2"])
def test_a_graph_is_captured_whole(name):
    """Where it breaks at every norm, a compiled network trains at a third of the speed.

    Weights are mixed in a graph of their own, once a forward.
    """
    model = softshare.create_model(name).to(memory_format=torch.channels_last)
    images = torch.randn(2, 2 if "cnn" in name else 3, 16, 16).contiguous(memory_format=torch.channels_last)
    explained = torch._dynamo.explain(model)(images)
    mixing = bool(softshare.banks(model))
    assert explained.graph_count == 1 + mixing and explained.graph_break_count == mixing
