"""The start "svd": the best approximation of the weights that layers have, held against numpy's SVD."""

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import softshare
from softshare.models.wide_resnet import shared_group
from softshare.sharing import TemplateBank, from_weights
from softshare.sharing.from_weights import start_from_weights

shapes = st.sampled_from([(4, 3, 3, 3), (5, 2, 1, 1), (3, 7), (6,), (2, 3, 5), (1, 40), (4, 1, 3, 3)])


@st.composite
def weights_to_share(draw):
    layers = draw(st.integers(2, 6))
    rank = draw(st.integers(1, layers))
    shape = draw(shapes)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 200)))
    mixing = torch.randn(layers, rank, generator=generator, dtype=torch.float64)
    weights = torch.tensordot(mixing, torch.randn(rank, *shape, generator=generator, dtype=torch.float64), 1)
    if len(shape) == 4 and draw(st.booleans()):
        weights = [weight.contiguous(memory_format=torch.channels_last) for weight in weights]
    return list(weights)


@given(weights_to_share(), st.data())
def test_no_approximation_by_k_templates_is_nearer(weights, data):
    templates = data.draw(st.integers(1, len(weights)))
    bank = TemplateBank(len(weights), templates, weights[0].shape, dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(from_weights, "_BLOCK", data.draw(st.integers(1, 60)))
        start_from_weights(bank, weights)
    matrix = torch.stack(weights).flatten(1).numpy()
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    nearest = (left[:, :templates] * singular[:templates]) @ right[:templates]
    made = torch.stack(bank()).detach().flatten(1).numpy()
    # W W^T squares the singular values: half of float64's digits are left of what is cut off.
    error, least = np.linalg.norm(matrix - made), np.linalg.norm(matrix - nearest)
    assert error <= least + 1e-7 * singular[0]
    gap = singular[templates - 1] - (singular[templates] if templates < len(singular) else 0)
    if gap > 1e-2 * singular[0]:
        np.testing.assert_allclose(made, nearest, rtol=0, atol=1e-6 * singular[0])
    columns = bank.coefficients.detach()
    torch.testing.assert_close(columns.t() @ columns, torch.eye(templates, dtype=torch.float64))


@given(weights_to_share(), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_a_template_per_layer_gives_the_weights_themselves(weights, dtype):
    weights = [weight.to(dtype) for weight in weights]
    bank = TemplateBank(len(weights), None, weights[0].shape, dtype=dtype)
    start_from_weights(bank, weights)
    largest = max(float(weight.float().norm()) for weight in weights)
    for made, weight in zip(bank(), weights, strict=True):
        assert made.dtype == dtype
        error = float((made - weight).detach().double().norm())
        assert error <= 10 * len(weights) * torch.finfo(dtype).eps * largest


def test_equal_weights_start_equal_whatever_the_seed():
    weights = [torch.randn(3, 3, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    made = []
    for seed in range(2):
        torch.manual_seed(seed)
        bank = TemplateBank(4, 2, (3, 3))
        start_from_weights(bank, weights)
        made.append(bank.state_dict())
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


def test_weights_of_zero_are_no_special_case():
    bank = TemplateBank(3, 2, (2, 2))
    start_from_weights(bank, [torch.zeros(2, 2)] * 3)
    assert all(not weight.any() for weight in bank())
    assert bank.coefficients.isfinite().all()


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_network_computes_what_it_did(channels_last):
    torch.manual_seed(0)
    model = softshare.create_model("wrn-22-2").double().eval()
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    with torch.no_grad():
        before = model(images)
        softshare.share(model, None, shared_group, init="svd")
        torch.testing.assert_close(model(images), before)
    for bank in softshare.banks(model).values():
        assert bank.init == "svd" and not bank.training
        assert bank.template_stack.is_contiguous(memory_format=torch.channels_last) == channels_last


def test_fewer_templates_than_layers_leave_what_they_cannot_hold():
    torch.manual_seed(0)
    model = softshare.create_model("wrn-28-1")
    weights = {name: layer.weight.detach().clone() for name, layer in model.named_modules() if hasattr(layer, "weight")}
    errors = []
    for templates in range(1, 7):
        shared = softshare.share(copy.deepcopy(model), templates, shared_group, init="svd")
        layers = dict(shared.named_modules())
        names = [name for bank in softshare.banks(shared).values() for name in bank.layers]
        errors.append(sum(float((layers[name].weight - weights[name]).detach().square().sum()) for name in names))
    assert all(more > less for more, less in itertools.pairwise(errors))
    assert errors[-1] < 1e-6 * errors[0]


def test_frozen_and_weightless_layers():
    frozen = nn.Sequential(*[nn.Linear(3, 3) for _ in range(2)]).requires_grad_(False)
    softshare.share(frozen, 1, types=(nn.Linear,), init="svd")
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    with torch.device("meta"):
        empty = nn.Sequential(*[nn.Linear(3, 3) for _ in range(2)])
    softshare.share(empty, 1, types=(nn.Linear,), init="svd")
    assert empty[1].weight.is_meta and empty[1].weight.shape == (3, 3)


def test_a_bank_alone_has_no_weights_to_start_from():
    with pytest.raises(ValueError, match=r"'svd' starts from the weights that layers have: share\(model, init='svd'\)"):
        TemplateBank(3, 2, (2, 2), init="svd")


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_and_nothing_is_changed(wrong):
    model = nn.Sequential(*[nn.Linear(3, 3) for _ in range(2)])
    with torch.no_grad():
        model[1].weight[0, 0] = wrong
    with pytest.raises(ValueError, match="group 'Linear 3x3' cannot start from weights that hold a NaN or an infinity"):
        softshare.share(model, 1, types=(nn.Linear,), init="svd")
    assert list(model.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    with pytest.raises(ValueError, match=r"unknown initialisation 'SVD'.*also svd"):
        softshare.share(model, 1, types=(nn.Linear,), init="SVD")
