"""The networks of the shortest-path task: parameters, groups, skips, starts, names."""

import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import softshare
from softshare.errors import UserError
from softshare.models.path_cnn import PathCnn
from softshare.names import PathCnnName, parse_model_name

# 1x1 in and out with biases, 20 norms of 32 channels; templates of 32 * 32 * 9; coefficients.
AROUND = (2 * 32 + 32) + 20 * 2 * 32 + (32 + 1)
COUNTS = {
    "cnn-20": 185_729,
    "scnn-20": 186_129,
    "scnn-20-1": 10_645,
    "scnn-20-4": 38_353,
    "rnn-20": 10_645,
    "cnn-2": 96 + 2 * (9216 + 64) + 33,
    "scnn-2-1": 96 + 9216 + 2 + 2 * 64 + 33,
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name):
    model = softshare.create_model(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == COUNTS[name]


def test_counts_worked_out():
    assert COUNTS["cnn-20"] == AROUND + 20 * 9216
    assert COUNTS["scnn-20"] == AROUND + 20 * 9216 + 20 * 20
    assert COUNTS["scnn-20-4"] == AROUND + 4 * 9216 + 20 * 4
    assert COUNTS["rnn-20"] == AROUND + 9216 + 20


def test_the_group_is_all_3x3_convolutions():
    model = softshare.create_model("scnn-20")
    banks = softshare.banks(model)
    wide = [name for name, module in model.named_modules() if getattr(module, "kernel_size", None) == (3, 3)]
    assert list(banks) == ["layers"] and list(banks["layers"].layers) == wide and len(wide) == 20
    assert banks["layers"].num_templates == 20


@pytest.mark.parametrize("name", ["cnn-3", "scnn-3", "scnn-3-2", "rnn-3"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_forward_and_backward(name, layout):
    model = softshare.create_model(name).to(memory_format=layout)
    logits = model(torch.randn(2, 2, 9, 7).to(memory_format=layout))
    assert logits.shape == (2, 9, 7)
    logits.square().sum().backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in trained)


@pytest.mark.parametrize("skip", ["after-relu", "before-relu", None])
def test_skips_join_where_they_should(skip):
    model = softshare.create_model("scnn-3", skip=skip)
    grids = torch.randn(4, 2, 8, 8)
    logits = model(grids)  # in training mode: the norms are those of the batch
    x = model.encode(grids)
    for layer in model.layers:
        y = nn.functional.batch_norm(nn.functional.conv2d(x, layer.conv.weight, padding=1), None, None, training=True)
        x = (x + y).relu() if skip == "before-relu" else x + y.relu()
    torch.testing.assert_close(logits, model.decode(x)[:, 0])


def test_a_shared_network_is_the_plain_one_of_the_same_weights():
    shared, plain = softshare.create_model("scnn-5-2"), softshare.create_model("cnn-5")
    state = {key: value for key, value in shared.state_dict().items() if "template_bank" not in key}
    for index, layer in enumerate(shared.layers):
        state[f"layers.{index}.conv.weight"] = layer.conv.weight.detach()
    plain.load_state_dict(state)
    grids = torch.randn(4, 2, 8, 8)
    torch.testing.assert_close(shared(grids), plain(grids))


def test_an_rnn_has_one_weight_and_keeps_it():
    model = softshare.create_model("rnn-4")
    optimizer = torch.optim.Adam(softshare.parameter_groups(model, 0.0), lr=0.1)
    before = model.layers[0].conv.weight.detach().clone()
    for _ in range(2):
        model(torch.randn(2, 2, 8, 8)).square().sum().backward()
        optimizer.step()
        assert all(torch.equal(layer.conv.weight, model.layers[0].conv.weight) for layer in model.layers)
    assert not torch.equal(before, model.layers[0].conv.weight)
    (bank,) = softshare.banks(model).values()
    assert torch.equal(bank.coefficients, torch.ones(4, 1))
    assert torch.equal(softshare.layer_similarity(model)["layers"], torch.ones(4, 4))


def test_starts_are_fan_in_he():
    torch.manual_seed(0)
    for name in ("cnn-20", "scnn-20", "rnn-20"):
        model = softshare.create_model(name)
        for layer in model.layers:
            assert layer.conv.weight.std().item() == pytest.approx(math.sqrt(2 / (32 * 9)), rel=0.1)
            assert layer.conv.bias is None
        assert model.encode.weight.std().item() == pytest.approx(1, rel=0.3)
        assert not model.encode.bias.any() and not model.decode.bias.any()


@pytest.mark.parametrize("scheme", ["orthogonal", "identity", "sparse", "normal", "uniform"])
def test_coefficients_start_as_asked(scheme):
    (bank,) = softshare.banks(softshare.create_model("scnn-20", coefficients=scheme)).values()
    assert bank.init == scheme


@given(st.integers(2, 9999), st.sampled_from(["c", "sc", "r"]), st.data())
def test_names_round_trip(layers, kind, data):
    templates = data.draw(st.none() | st.integers(1, layers)) if kind == "sc" else 1 if kind == "r" else None
    name = PathCnnName(layers, kind != "c", templates, kind == "r")
    assert parse_model_name(str(name)) == name
    assert str(name).startswith(f"{kind}nn-{layers}")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cnn", "unknown model; known forms: wrn-L-w"),
        ("cnn-020", "unknown model"),
        ("srnn-20", "unknown model"),
        ("cnn-20-2-2", "unknown model"),
        ("cnn-1", "at least 2 layers"),
        ("scnn-1", "at least 2 layers"),
        ("cnn-20-2", "write scnn-20-2"),
        ("rnn-20-2", "write rnn-20 or scnn-20-2"),
        ("scnn-20-21", "k from 1 to 20"),
    ],
)
def test_names_that_are_none(name, said):
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        softshare.create_model(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("cnn-20", {"dropout": 0.3}, "dropout: 0.3: cnn-20 has no such setting"),
        ("scnn-20", {"num_classes": 10}, "num_classes: 10: scnn-20 has no such setting"),
        ("wrn-16-1", {"skip": "after-relu"}, "skip: 'after-relu': wrn-16-1 has no such setting"),
        ("cnn-20", {"skip": "after"}, "skip: 'after': unknown skip; did you mean 'after-relu'?"),
    ],
)
def test_settings_that_a_network_does_not_have(name, settings, said):
    with pytest.raises(UserError, match=re.escape(said)):
        softshare.create_model(name, **settings)


def test_layers_are_called_in_the_order_of_the_bank():
    model = PathCnn(4)
    called = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *_, name=name: called.append(name))
    model(torch.randn(1, 2, 4, 4))
    assert called == ["encode", *(f"layers.{index}.conv" for index in range(4)), "decode"]
