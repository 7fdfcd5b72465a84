"""Tying and folding networks of torchvision and timm as they stand: the same outputs, loops where blocks allow them."""

import copy

import pytest
import timm
import torch
from torch import nn

import softshare
from softshare.models.survey import ARCHITECTURES
from softshare.sharing.looped_blocks import LoopedBlocks

# Whose repeated blocks are alike and stand in an `nn.Sequential`. Others call theirs one by one, or give each a drop
# rate of its own (torchvision's ConvNeXt, Swin and EfficientNet): those are tied, and no loop is made.
LOOPED = {
    "torchvision.resnet50",
    "torchvision.resnext50_32x4d",
    "torchvision.wide_resnet50_2",
    "torchvision.mobilenet_v2",
    "torchvision.mobilenet_v3_small",
    "torchvision.mnasnet0_5",
    "torchvision.shufflenet_v2_x0_5",
    "torchvision.regnet_y_400mf",
    "timm.resnetv2_50",
    "timm.res2net50_26w_4s",
    "timm.cspresnet50",
    "timm.hrnet_w18_small",
    "timm.repvgg_a0",
    "timm.ghostnet_050",
    "timm.tf_efficientnet_lite0",
    "timm.mobilenetv4_conv_small",
    "timm.mobilevit_xxs",
    "timm.convnext_atto",
    "timm.convmixer_768_32",
    "timm.vit_tiny_patch16_224",
    "timm.mixer_s32_224",
}


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=[architecture.name for architecture in ARCHITECTURES])
def test_tied_and_folded_are_equal(architecture):
    torch.manual_seed(0)
    model = softshare.share(architecture.build(), 1, types=architecture.types).eval()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    images = torch.randn(1, 3, architecture.pixels, architecture.pixels)
    with torch.no_grad():
        expected = model(images)
        tied = softshare.tie(copy.deepcopy(model), 0.8)
        folded = softshare.fold(model, 0.8)
        scale = float(expected.std())
        # One template makes all layers of a group alike: nothing changes at any threshold.
        torch.testing.assert_close(tied(images), expected, rtol=1e-3, atol=2e-3 * scale)
        torch.testing.assert_close(folded(images), expected, rtol=1e-3, atol=2e-3 * scale)
    assert folded.folding.distinct_layers < folded.folding.layers
    assert all(loops.is_recurrent or len(loops.sequence) > 1 for loops in folded.folding.loops.values())
    # L coefficients make way for L - 1 scales in each group.
    assert parameters - sum(p.numel() for p in folded.parameters()) == len(softshare.banks(folded))
    looped = any(isinstance(module, LoopedBlocks) for module in folded.modules())
    assert looped == (architecture.name in LOOPED)


def test_stochastic_depth_is_named_where_it_hinders_a_loop_and_its_removal_lets_it_be():
    torch.manual_seed(0)
    model = softshare.share(timm.create_model("resnet50", drop_path_rate=0.1, num_classes=2), 1).eval()
    folding = softshare.fold(model, 0.9).folding
    assert folding.looped == () and len(folding.unlooped) == 4
    assert folding.unlooped["layer3"] == "layer3.1 and layer3.2 differ in drop_path.drop_prob (0.0533 and 0.06)"
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = model(images)
        for module in list(model.modules()):
            if getattr(module, "drop_path", None) is not None:
                module.drop_path = nn.Identity()
        folded = softshare.fold(model, 0.9)
        torch.testing.assert_close(folded(images), expected, rtol=1e-3, atol=2e-3 * float(expected.std()))
    assert set(folded.folding.looped) == {f"layer{stage}" for stage in (1, 2, 3, 4)} and folded.folding.unlooped == {}
