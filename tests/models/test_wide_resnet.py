"""The paper's CIFAR networks: every parameter count of its tables, groups, starts, names."""

import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import softshare
from softshare.errors import UserError
from softshare.names import WideResNetName, parse_model_name

COUNTS = {
    ("wrn-28-10", 10): 36_479_194,
    ("wrn-28-10", 100): 36_536_884,
    ("swrn-28-10", 10): 36_479_302,
    ("swrn-28-10", 100): 36_536_992,
    ("swrn-28-10-1", 10): 12_287_212,
    ("swrn-28-10-1", 100): 12_344_902,
    ("swrn-28-10-2", 10): 17_125_630,
    ("swrn-28-10-2", 100): 17_183_320,
    ("swrn-28-14", 10): 71_470_918,
    ("swrn-28-14", 100): 71_551_648,
    ("swrn-28-14-2", 10): 33_537_790,
    ("swrn-28-14-2", 100): 33_618_520,
    ("swrn-28-18", 10): 118_119_750,
    ("swrn-28-18", 100): 118_223_520,
    ("swrn-28-18-2", 10): 55_414_014,
    ("swrn-28-18-2", 100): 55_517_784,
    ("swrn-28-4-2", 10): 2_752_510,
    ("swrn-28-6-2", 10): 6_177_534,
}


@pytest.fixture
def no_filling(monkeypatch):
    """Counting needs no random numbers: the widest networks are built in a moment."""
    for name in ("kaiming_uniform_", "uniform_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)
    for module in ("sharing.bank", "models.wide_resnet"):
        monkeypatch.setattr(f"softshare.{module}.he_normal_", lambda tensor: tensor)


@pytest.mark.parametrize(("name", "classes"), COUNTS)
def test_parameter_counts_of_the_paper(name, classes, no_filling):
    model = softshare.create_model(name, classes)
    assert sum(parameter.numel() for parameter in model.parameters()) == COUNTS[name, classes]


@pytest.mark.parametrize(("depth", "layers"), [(28, 6), (40, 10), (16, 2), (22, 4)])
def test_groups_are_a_stage_without_its_first_block(depth, layers):
    banks = softshare.banks(softshare.create_model(f"swrn-{depth}-1"))
    assert list(banks) == ["stage1", "stage2", "stage3"]
    for stage, bank in banks.items():
        expected = [f"{stage}.{block}.conv{n}" for block in range(1, layers // 2 + 1) for n in (1, 2)]
        assert list(bank.layers) == expected
        assert bank.num_layers == bank.num_templates == layers


def test_layers_called_in_order_as_the_bank_lists_them():
    model = softshare.create_model("swrn-22-1-2")
    called = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *_, name=name: called.append(name))
    model(torch.randn(1, 3, 8, 8))
    for bank in softshare.banks(model).values():
        assert [name for name in called if name in bank.layers] == list(bank.layers)


def test_starts_are_fan_in_he():
    torch.manual_seed(0)
    model = softshare.create_model("swrn-16-4")
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = module.weight
            if weight.numel() > 2000:
                expected = math.sqrt(2 / math.prod(weight.shape[1:]))
                assert weight.std().item() == pytest.approx(expected, rel=0.1)
    assert model.classifier.bias.abs().sum() == 0


def test_shortcuts_project_where_shapes_change_and_are_never_shared():
    narrow, wide = softshare.create_model("swrn-16-1"), softshare.create_model("swrn-16-2")
    assert narrow.stage1[0].shortcut is None and wide.stage1[0].shortcut is not None
    for model in (narrow, wide):
        for stage in (model.stage2, model.stage3):
            assert stage[0].shortcut.kernel_size == (1, 1) and stage[1].shortcut is None
        assert not any("shortcut" in name for bank in softshare.banks(model).values() for name in bank.layers)


def test_shortcut_takes_the_activated_input():
    model = softshare.create_model("wrn-16-2").eval()
    block = model.stage1[0]
    x = torch.randn(2, 16, 8, 8)
    active = block.norm1(x).relu()
    branch = block.conv2(block.norm2(block.conv1(active)).relu())
    torch.testing.assert_close(block(x), branch + block.shortcut(active))


def test_dropout_stands_between_the_convolutions():
    model = softshare.create_model("wrn-16-1", dropout=0.3)
    drops = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    assert len(drops) == 6 and all(drop.p == 0.3 for drop in drops)
    seen = []
    block = model.stage1[0]
    for name in ("norm1", "conv1", "norm2", "dropout", "conv2"):
        getattr(block, name).register_forward_hook(lambda *_, name=name: seen.append(name))
    model.train()(torch.randn(2, 3, 8, 8))
    assert seen == ["norm1", "conv1", "norm2", "dropout", "conv2"]


@pytest.mark.parametrize("side", [8, 32])
def test_forward_and_backward(side):
    model = softshare.create_model("swrn-16-1-1", 100)
    model(torch.randn(3, 3, side, side)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("scheme", ["orthogonal", "identity", "sparse", "normal", "uniform"])
def test_coefficients_start_as_asked(scheme):
    bank = softshare.banks(softshare.create_model("swrn-16-1", coefficients=scheme))["stage1"]
    assert bank.init == scheme


@given(st.integers(2, 30), st.integers(1, 30), st.booleans(), st.data())
def test_names_round_trip(blocks, width, shared, data):
    templates = data.draw(st.none() | st.integers(1, 2 * blocks - 2)) if shared else None
    name = WideResNetName(6 * blocks + 4, width, shared, templates)
    assert parse_model_name(str(name)) == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet50", "unknown model"),
        ("swrn-28", "unknown model"),
        ("SWRN-28-10", "unknown model"),
        ("swrn-28-10-0", "unknown model"),
        ("swrn-28-10-1 ", "unknown model"),
        ("wrn-27-10", "6n + 4"),
        ("wrn-4-10", "6n + 4"),
        ("swrn-10-1", "no two layers"),
        ("wrn-28-10-2", "write swrn-28-10-2"),
        ("swrn-28-10-7", "k from 1 to 6"),
    ],
)
def test_names_that_are_none(name, said):
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        softshare.create_model(name)
    assert repr(name) in str(caught.value)
