"""Sharing in networks of torchvision and timm as they stand: trained a step, saved, loaded, counted."""

import copy

import pytest
import torch
from torch import nn

import softshare
from softshare.models.survey import ARCHITECTURES

by_architecture = pytest.mark.parametrize(
    "architecture", ARCHITECTURES, ids=[architecture.name for architecture in ARCHITECTURES]
)


def built(architecture):
    """The network with no scale or head that starts at (almost) zero, so that a gradient reaches every layer."""
    torch.manual_seed(0)
    model = architecture.build()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith("bias") and parameter.abs().max() < 1e-4:
                parameter.fill_(1.0) if parameter.dim() < 2 else parameter.normal_(std=0.02)
    return model


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def scores(model, images):
    with torch.no_grad():
        return model.eval()(images)


@by_architecture
def test_shares_trains_saves_and_loads(architecture, saved_by):
    plain = built(architecture)
    images = torch.randn(2, 3, architecture.pixels, architecture.pixels)
    expected = scores(plain, images)
    assert expected.isfinite().all()

    # A template per layer, from the weights that are there: the function stays.
    model = softshare.share(copy.deepcopy(plain), types=architecture.types, init="svd")
    spread = float(expected.std())
    torch.testing.assert_close(scores(model, images), expected, rtol=1e-3, atol=1e-3 * spread)
    del model

    model = softshare.share(copy.deepcopy(plain), 2, types=architecture.types)
    banks = softshare.banks(model)
    assert count(plain) - count(model) == sum(map(saved_by, banks.values()))
    assert {group: len(matrix) for group, matrix in softshare.layer_similarity(model).items()} == {
        group: bank.num_layers for group, bank in banks.items()
    }
    optimizer = torch.optim.SGD(softshare.parameter_groups(model, 1e-4), lr=1e-3)
    model.train()(images).square().mean().backward()
    for group, bank in banks.items():
        for parameter in (bank.coefficients, bank.template_stack):
            assert parameter.grad is not None and parameter.grad.isfinite().all(), group
            assert parameter.grad.any(), group
    before = {group: bank.coefficients.detach().clone() for group, bank in banks.items()}
    optimizer.step()
    assert any(not torch.equal(bank.coefficients, before[group]) for group, bank in banks.items())

    state = model.state_dict()
    filled = [tensor for tensor in state.values() if tensor.numel()]
    assert len({tensor.data_ptr() for tensor in filled}) == len(filled)
    learned = [name for name, _ in model.named_parameters()]
    assert [name for name in state if name in set(learned)] == learned
    torch.manual_seed(1)
    fresh = softshare.share(plain, 2, types=architecture.types)
    fresh.load_state_dict(state)
    after = scores(model, images)
    assert not torch.equal(after, expected)
    torch.testing.assert_close(scores(fresh, images), after, rtol=0, atol=0)


@by_architecture
def test_saves_as_many_parameters_as_the_banks_say(architecture, saved_by):
    plain = architecture.build_without_weights()
    for templates in (1, 2, 3, None):
        model = softshare.share(copy.deepcopy(plain), templates, types=architecture.types)
        banks = softshare.banks(model).values()
        assert all(bank.num_templates == min(templates or bank.num_layers, bank.num_layers) for bank in banks)
        assert count(plain) - count(model) == sum(map(saved_by, banks))


def test_many_makes_are_tried():
    assert len({architecture.name for architecture in ARCHITECTURES}) >= 22
    assert {architecture.name.partition(".")[0] for architecture in ARCHITECTURES} == {"torchvision", "timm"}


def test_attention_that_reads_weights_past_its_layers_shares():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0.0)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    tokens = torch.randn(2, 5, 16)
    expected = scores(model, tokens)
    softshare.share(model, types=(nn.Linear,), init="svd")
    assert {len(bank.layers) for bank in softshare.banks(model).values()} == {3}
    torch.testing.assert_close(scores(model, tokens), expected, rtol=1e-4, atol=1e-4)
    model.train()(tokens).square().mean().backward()
    assert all(bank.coefficients.grad.any() for bank in softshare.banks(model).values())
