"""WRN and SWRN 50-2: the paper's 12 groups and counts, starts of fb.resnet.torch, names."""

import math

import pytest
import torch
from torch import nn

import softshare
from softshare.errors import UserError
from softshare.models.imagenet import bottleneck_group
from softshare.names import BottleneckName, WideResNetName, parse_model_name

# Layers of each group: a stage's bottlenecks, of whose C-B layers the first is of another shape.
GROUPS = {
    "stage1 C-B": 2, "stage1 B-B": 3, "stage1 B-C": 3,
    "stage2 C-B": 3, "stage2 B-B": 4, "stage2 B-C": 4,
    "stage3 C-B": 5, "stage3 B-B": 6, "stage3 B-C": 6,
    "stage4 C-B": 2, "stage4 B-B": 3, "stage4 B-C": 3,
}  # fmt: skip
COUNTS = {"wrn-50-2": 68_883_240, "swrn-50-2": 68_883_422}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return softshare.create_model("swrn-50-2")


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_the_paper_s_69_million(name):
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in softshare.create_model(name).parameters())
    assert count == COUNTS[name] and round(count / 1e6) == 69


def test_groups_are_the_paper_s_twelve(model):
    banks = softshare.banks(model)
    assert {group: bank.num_layers for group, bank in banks.items()} == GROUPS
    assert all(bank.num_templates == bank.num_layers for bank in banks.values())
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    shared = [name for bank in banks.values() for name in bank.layers]
    assert len(shared) == len(set(shared)) == 44
    # What is left: the stem, the projections, and each stage's first C-B layer.
    own = {f"layer{stage}.0.{part}" for stage in range(1, 5) for part in ("conv1", "downsample.0")} | {"conv1"}
    assert set(layers) - set(shared) == own
    assert all(bottleneck_group(name, layers[name]) is None for name in own)
    assert banks["stage3 B-B"].weight_shape == (512, 512, 3, 3)
    assert banks["stage1 C-B"].weight_shape == (128, 256, 1, 1) and banks["stage4 B-C"].weight_shape == (
        2048,
        1024,
        1,
        1,
    )


def test_coefficients_alone_are_free_of_decay(model):
    decayed, free = softshare.parameter_groups(model, weight_decay=1e-4)
    assert (decayed["weight_decay"], free["weight_decay"]) == (1e-4, 0.0)
    assert sum(p.numel() for p in free["params"]) == sum(layers**2 for layers in GROUPS.values()) == 182
    assert sum(p.numel() for p in decayed["params"]) == COUNTS["wrn-50-2"]


def test_starts_are_fb_resnet_torch_s(model):
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            out, _, *kernel = module.weight.shape
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / (out * math.prod(kernel))), rel=0.04)
            assert module.bias is None
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()
    assert (model.fc.bias == 0).all() and model.fc.weight.abs().max() <= 2048**-0.5


def test_the_stride_is_in_the_3x3_convolution(model):
    assert model.layer2[0].conv1.stride == (1, 1) and model.layer2[0].conv2.stride == (2, 2)


def test_fewer_templates_and_other_classes():
    with torch.device("meta"):
        model = softshare.create_model("swrn-50-2-2", 7)
    assert {bank.num_templates for bank in softshare.banks(model).values()} == {2}
    assert model.fc.out_features == 7


def test_names():
    assert parse_model_name("wrn-50-2") == BottleneckName(50, 2)
    assert parse_model_name("swrn-101-1-2") == BottleneckName(101, 1, True, 2)
    assert isinstance(parse_model_name("wrn-28-10"), WideResNetName)
    for name in ("wrn-50-2", "swrn-50-2", "swrn-50-2-1", "swrn-152-2"):
        assert str(parse_model_name(name)) == name
    for name, wanted in (
        ("swrn-50-2-3", "more templates than its 2 layers"),
        ("wrn-50-2-2", "a plain WRN has no templates; write swrn-50-2-2"),
        ("wrn-51-2", "the depth must be"),
    ):
        with pytest.raises(UserError, match=wanted):
            parse_model_name(name)
    with pytest.raises(UserError, match="wrn-50-2 has no such setting; leave it out"):
        softshare.create_model("wrn-50-2", dropout=0.3)
