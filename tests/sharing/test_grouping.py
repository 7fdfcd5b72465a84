"""The default groups: what a stage is in networks of many makes, and why layers are left alone."""

import pytest
import torch
import torchvision
from torch import nn

import softshare
from softshare.models.survey import ARCHITECTURES
from softshare.sharing.grouping import SameStageSameShape

BY_NAME = {architecture.name: architecture for architecture in ARCHITECTURES}


@pytest.mark.parametrize(
    ("architecture", "layer", "stage"),
    [
        ("torchvision.resnet50", "layer3.2.conv2", "layer3"),
        ("torchvision.densenet121", "features.denseblock2.denselayer5.conv2", "features.denseblock2"),
        ("torchvision.vgg11_bn", "features.11", ""),
        ("torchvision.squeezenet1_1", "features.4.expand3x3", "features"),
        ("torchvision.mobilenet_v2", "features.9.conv.1.0", "features"),
        ("torchvision.efficientnet_b0", "features.4.1.block.0.0", "features.4"),
        ("torchvision.shufflenet_v2_x0_5", "stage3.1.branch2.0", "stage3"),
        ("torchvision.regnet_y_400mf", "trunk_output.block3.block3-2.f.b.0", "trunk_output.block3"),
        ("torchvision.inception_v3", "Mixed_6c.branch7x7_1.conv", ""),
        ("torchvision.convnext_tiny", "features.5.2.block.3", "features.5"),
        ("torchvision.swin_t", "features.5.2.attn.qkv", "features.5"),
        ("timm.regnetx_002", "s3.b2.conv1.conv", "s3"),
        ("timm.resnetv2_50", "stages.1.blocks.2.conv2", "stages.1.blocks"),
        ("timm.convnext_atto", "stages.2.blocks.3.mlp.fc1", "stages.2.blocks"),
        ("timm.dla34", "level3.tree2.tree1.conv1", "level3"),
        ("timm.ghostnet_050", "blocks.6.2.ghost1.primary_conv.0", "blocks.6"),
        ("timm.vit_tiny_patch16_224", "blocks.3.attn.qkv", "blocks"),
        ("timm.mixer_s32_224", "blocks.3.mlp_tokens.fc1", "blocks"),
        ("timm.convmixer_768_32", "blocks.3.0.fn.0", ""),
    ],
)
def test_stages_of_networks_of_others(architecture, layer, stage):
    model = BY_NAME[architecture].build_without_weights()
    model.get_submodule(layer)
    assert SameStageSameShape(model).stage(layer) == stage


def test_stages_stay_where_they_are_when_layers_are_shared():
    model = torchvision.models.resnet18()
    before = SameStageSameShape(model)
    stages = {name: before.stage(name) for name, _ in model.named_modules()}
    softshare.share(model, 1)
    after = SameStageSameShape(model)
    assert stages == {name: after.stage(name) for name in stages}


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)


class Wrapped(nn.Module):
    """A convolution with its norm, as many libraries write one."""

    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.conv2 = Wrapped(width), Wrapped(width)


def test_blocks_of_one_layer_are_blocks_and_wrappers_within_a_block_are_none():
    stages = nn.Sequential(*[nn.Sequential(Residual(4), Residual(4)) for _ in range(2)])
    softshare.share(stages, 1)
    assert [bank.group for bank in softshare.banks(stages).values()] == ["0 Conv2d 4x4x3x3", "1 Conv2d 4x4x3x3"]
    alone = nn.ModuleDict({"a": Block(4), "b": nn.Identity(), "c": nn.Identity(), "d": nn.Sequential(Block(4))})
    softshare.share(alone, 1)
    (bank,) = softshare.banks(alone).values()
    assert bank.layers == ("a.conv1.conv", "a.conv2.conv", "d.0.conv1.conv", "d.0.conv2.conv")


def test_convolutions_of_one_shape_and_different_groups_stay_apart():
    layers = [nn.Conv2d(8, 8, 3, groups=2), nn.Conv2d(16, 8, 3, groups=4)]
    model = nn.Sequential(*layers, *[nn.Conv2d(8, 8, 3, groups=2), nn.Conv2d(16, 8, 3, groups=4)])
    assert layers[0].weight.shape == layers[1].weight.shape
    softshare.share(model, 1)
    assert [bank.layers for bank in softshare.banks(model).values()] == [("0", "2"), ("1", "3")]


def test_short_groups_get_a_template_per_layer():
    model = nn.Sequential(*[nn.Conv2d(4, 4, 3) for _ in range(5)], *[nn.Conv2d(2, 2, 3) for _ in range(2)])
    softshare.share(model, 3)
    assert [(bank.num_layers, bank.num_templates) for bank in softshare.banks(model).values()] == [(5, 3), (2, 2)]
    with pytest.raises(ValueError, match="2 layers, fewer than 3 templates"):
        softshare.share(nn.Sequential(nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3)), 3, lambda name, module: "all")


def test_layers_whose_weight_is_not_theirs_are_left_alone():
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(6)])
    model[1].weight = model[0].weight
    nn.utils.parametrizations.weight_norm(model[2])
    softshare.share(model, 1, types=(nn.Linear,))
    assert [bank.layers for bank in softshare.banks(model).values()] == [("3", "4", "5")]
    assert model[0].weight is model[1].weight


def test_each_layer_is_told_why_it_shares_with_none():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4, 10))
    with pytest.raises(ValueError) as raised:
        softshare.share(model)
    assert str(raised.value) == (
        "Sequential has no two layers to share: alone in its group (stage, kind and shape): 0 (4, 3, 3, 3), "
        "1 (4, 4, 3, 3); not asked for by `types`, Linear: 3 (10, 4)"
    )
    with pytest.raises(ValueError, match=r"left out by `groups`: 0 \(4, 3, 3, 3\), 1 \(4, 4, 3, 3\); not asked"):
        softshare.share(model, groups=lambda name, module: None)
    with pytest.raises(ValueError, match=r"it has no Conv3d or Conv1d; not asked for by `types`, Conv2d: 0 \(4, 3"):
        softshare.share(model, types=(nn.Conv3d, nn.Conv1d))


def test_other_hindrances_are_named():
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(3)], nn.LazyLinear(4))
    model[1].weight = model[0].weight
    nn.utils.parametrizations.weight_norm(model[2])
    with pytest.raises(ValueError) as raised:
        softshare.share(model, types=(nn.Linear,))
    text = str(raised.value)
    assert "tied to another module's weight: 0 (4, 4), 1 (4, 4)" in text
    assert "without a weight of its own (it has none, or a parametrisation computes it): 2 ParametrizedLinear" in text
    assert "not initialised yet (call the model once): 3 LazyLinear" in text


def test_the_stage_of_a_lone_layer_is_named_and_long_lists_end():
    class Part(nn.Module):
        def __init__(self, outputs):
            super().__init__()
            self.block, self.head = Residual(4), nn.Linear(4, outputs)

    body = nn.Sequential(Part(2), Part(3))
    with pytest.raises(ValueError, match=r"alone in its group .*: body.0.head \(2, 4\) in body, body.1.head"):
        softshare.share(nn.ModuleDict({"body": body}), types=(nn.Linear,))
    with pytest.raises(ValueError, match=r"7 \(1, 8, 1, 1\) and 5 more$"):
        softshare.share(nn.Sequential(*[nn.Conv2d(i, 1, 1) for i in range(1, 14)]))


def test_a_network_whose_widths_all_differ_says_so():
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        model = timm.create_model("rexnet_100")
    with pytest.raises(ValueError, match=r"RexNet has no two layers to share: alone in its group.* more"):
        softshare.share(model)
