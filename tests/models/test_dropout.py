"""Dropout on a CPU: the right share at every place, torch's scale and gradient, the generator's bits."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from softshare.models.dropout import Dropout


def images(layout=torch.contiguous_format, dtype=torch.float32, shape=(8, 16, 24, 24)):
    return torch.ones(shape, dtype=dtype).contiguous(memory_format=layout)


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_share_that_is_dropped_is_right_at_each_of_a_draws_four_places(p, layout):
    torch.manual_seed(0)
    x = images(layout)
    y = Dropout(p)(x)
    assert y.stride() == x.stride()
    dropped = (y == 0).double()
    in_order = dropped.permute(0, 2, 3, 1) if layout == torch.channels_last else dropped
    shares = [in_order.flatten(), *in_order.reshape(-1, 4).t(), dropped.mean((0, 2, 3)), dropped.mean((1, 2, 3))]
    for share, count in zip(shares, [x.numel(), *4 * [x.numel() / 4], x.numel() / 16, x.numel() / 8], strict=True):
        assert (share.mean() - p).abs() < 5 * (p * (1 - p) / count) ** 0.5
        if share.numel() in (8, 16):  # every channel, every image
            assert ((share - p).abs() < 5 * (p * (1 - p) / count) ** 0.5).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_stays_is_scaled_as_torch_scales_it_and_the_gradient_follows_the_mask(dtype):
    torch.manual_seed(0)
    x = (3 * images(dtype=dtype)).requires_grad_()
    y = Dropout(0.3)(x)
    y.backward(torch.ones_like(y))
    theirs = nn.Dropout(0.3)(x.detach())
    assert y.dtype == dtype and y.detach().unique().tolist() == theirs.unique().tolist()
    assert torch.equal(x.grad == 0, y == 0) and x.grad.unique().numel() == 2


def test_each_element_falls_by_itself():
    torch.manual_seed(0)
    dropped = (Dropout(0.5)(torch.ones(100_000)) == 0).double() - 0.5
    for apart in (1, 2, 3, 4, 5, 8):
        assert abs((dropped[apart:] * dropped[:-apart]).mean()) < 5 * 0.25 / 100_000**0.5


def test_masks_follow_the_generator_and_differ_from_call_to_call():
    layer, x = Dropout(0.3), images()
    torch.manual_seed(1)
    first, second = layer(x), layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), first) and torch.equal(layer(x), second) and not torch.equal(first, second)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_any_shape_is_kept(shape):
    y = Dropout(0.5)(torch.ones(shape))
    assert list(y.shape) == shape and set(y.unique().tolist()) <= {0.0, 2.0}


@pytest.mark.parametrize("p", [0.0, 1.0, 1e-9, 1 - 1e-9])
def test_at_the_ends_torch_computes(p):
    torch.manual_seed(0)
    found = Dropout(p)(images())
    torch.manual_seed(0)
    assert torch.equal(found, nn.Dropout(p)(images()))


def test_in_evaluation_and_while_captured_it_is_torchs():
    layer = Dropout(0.5)
    assert isinstance(layer, nn.Dropout) and not layer.state_dict() and copy.deepcopy(layer).p == 0.5
    exported = torch.export.export(layer.train(), (torch.ones(4),)).graph
    assert "dropout" in str(exported) and "random_" not in str(exported)
    x = images()
    assert layer.eval()(x) is x
