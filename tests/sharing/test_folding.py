"""Folded networks: real loops, equal to the tied network."""

import copy

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import softshare
from softshare.sharing.looped_blocks import LoopedBlocks


def _randomised(model, seed):
    """Norms as after training: their statistics and scales differ from block to block."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            for tensor in (module.bias.data, module.running_mean):
                tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator))
    for bank in softshare.banks(model).values():
        bank.coefficients.data.copy_(torch.randn(bank.coefficients.shape, generator=generator))
    return model


def _loops(model):
    return [module for module in model.modules() if isinstance(module, LoopedBlocks)]


@given(
    st.sampled_from(["swrn-16-1-1", "swrn-22-1-2", "swrn-22-1", "swrn-16-2-2"]),
    st.sampled_from([0.0, 0.3, 0.6, 0.8, 0.95, 1.0]),
    st.sampled_from(["coefficients", "weights"]),
    st.integers(0, 10_000),
)
@settings(max_examples=12, deadline=None)
def test_folded_equals_tied(name, threshold, of, seed):
    torch.manual_seed(seed)
    model = _randomised(softshare.create_model(name), seed).eval()
    tied = softshare.tie(copy.deepcopy(model), threshold, of=of)
    folded = softshare.fold(model, threshold, of=of)
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(folded(images), tied(images), rtol=1e-4, atol=1e-5)
    assert not folded.training and isinstance(softshare.banks(model)["stage1"], softshare.TemplateBank)
    assert _count(folded) == _count(tied)
    for stage, bank in softshare.banks(tied).items():
        assert len(folded.folding.loops[stage].distinct) == bank.num_templates
        assert folded.folding.loops[stage] == softshare.find_loops(bank.clusters)


def test_loops_are_real_and_a_weight_is_stored_once():
    model = softshare.create_model("swrn-28-1-2")
    with torch.no_grad():
        for bank in softshare.banks(model).values():
            bank.coefficients.copy_(torch.eye(2).repeat(3, 1) * torch.tensor([1, 1, -2, 0.5, 3, -1])[:, None])
    folded = softshare.fold(model, 0.9)
    assert [str(loops) for loops in folded.folding.loops.values()] == ["(a b) x 3"] * 3
    # 27 layers (width 1 has no shortcut in its first stage), of which 3 x 4 are gone
    assert (folded.folding.layers, folded.folding.distinct_layers) == (27, 15)
    assert "stage2: (a b) x 3" in str(folded.folding) and "15 layers in place of 27" in str(folded.folding)
    loops = _loops(folded)
    assert [loop.program for loop in loops] == [((0, 1), (0, 1), (0, 1))] * 3
    assert len(list(folded.stage1.children())) == 2  # the first block, and the loop
    convolutions = [module for loop in loops for module in loop.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 2 * len(loops) and all(layer.weight is None for layer in convolutions)
    # Two weights are two templates; in each of 3 stages 6 x 2 coefficients make way for 4 scales.
    assert _count(model) - _count(folded) == 3 * (12 - 4)


def test_the_papers_figure_6_counts_24_layers_of_40():
    model = softshare.create_model("swrn-40-2-8")
    sequences = {"stage1": "abcdcdcdcd", "stage2": "abcdcdabcd", "stage3": "abcdefabcd"}  # 4 + 4 + 6 = 14 layers
    generator = torch.Generator().manual_seed(0)
    for stage, bank in softshare.banks(model).items():
        directions = torch.linalg.qr(torch.randn(8, 8, generator=generator))[0]
        rows = ["abcdef".index(letter) for letter in sequences[stage]]
        bank.coefficients.data.copy_(directions[rows])
    folding = softshare.find_folding(model, 0.8)
    assert (folding.layers, folding.distinct_layers) == (40, 24)
    assert str(folding.loops["stage2"]) == "a b (c d) x 2 a b c d"


def test_folding_saves_exactly_the_weights_that_are_tied():
    torch.manual_seed(0)
    model = softshare.create_model("swrn-28-2-4")
    with torch.no_grad():
        for bank in softshare.banks(model).values():
            bank.coefficients[2:] = bank.coefficients[:2].repeat(2, 1)
    folded = softshare.fold(model, 0.99)
    weights = sum(9 * channels**2 for channels in (32, 64, 128))
    assert _count(model) - _count(folded) == 2 * weights + 3 * (6 * 4 - 4)


def test_folded_trains_as_the_tied_network_does():
    torch.manual_seed(0)
    model = _randomised(softshare.create_model("swrn-22-1-2"), 0).train()
    tied, folded = softshare.tie(copy.deepcopy(model), 0.6), softshare.fold(model, 0.6)
    images, labels = torch.randn(8, 3, 16, 16), torch.arange(8)
    for network in (tied, folded):
        optimizer = torch.optim.SGD(softshare.parameter_groups(network, 5e-4), lr=0.01, momentum=0.9, nesterov=True)
        for _ in range(3):
            loss = nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.testing.assert_close(folded(images), tied(images), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(folded.eval()(images), tied.eval()(images), rtol=1e-3, atol=1e-3)  # running statistics
    for one, other in zip(softshare.banks(folded).values(), softshare.banks(tied).values(), strict=True):
        torch.testing.assert_close(one.scales, other.scales, rtol=1e-3, atol=1e-4)


def test_statistics_can_be_estimated_anew():
    model = _randomised(softshare.create_model("swrn-22-1-2"), 1)
    tied, folded = softshare.tie(copy.deepcopy(model), 0.5), softshare.fold(model, 0.5)
    batches = list(torch.randn(3, 8, 3, 16, 16))
    for network in (tied, folded):
        torch.optim.swa_utils.update_bn(batches, network)
    torch.testing.assert_close(folded.eval()(batches[0]), tied.eval()(batches[0]), rtol=1e-3, atol=1e-4)


def test_any_residual_network_folds():
    torch.manual_seed(0)
    model = softshare.share(torchvision.models.resnet50(num_classes=5), templates=1).eval()
    folded = softshare.fold(model, 0.8)
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(folded(images), model(images), rtol=1e-3, atol=1e-4)
    assert [loop.passes for loop in _loops(folded)] == [2, 3, 5, 2]  # all blocks of a stage but its first
    assert folded.folding.distinct_layers < folded.folding.layers == 53
    assert str(folded.folding.loops["layer1"]).endswith("(a b c) x 2") or "x" in str(folded.folding.loops["layer1"])


def test_blocks_of_other_structure_are_tied_and_not_looped():
    def block(padding_mode, stride=1):
        return nn.Sequential(
            nn.Conv2d(4, 4, 3, stride, 1, padding_mode=padding_mode, bias=False), nn.BatchNorm2d(4), nn.ReLU()
        )

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(
                block("zeros"), block("zeros"), block("reflect"), block("zeros", 2), block("zeros")
            )

        def forward(self, x):
            return self.body(x)

    model = softshare.share(Net(), templates=1).eval()
    folded = softshare.fold(model, 1.0)
    images = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(folded(images), model(images), rtol=1e-4, atol=1e-5)
    assert [type(child).__name__ for child in folded.body] == ["LoopedBlocks", *["Sequential"] * 3]
    assert _count(folded) == 4 * 4 * 9 + 4 + 5 * 8  # one weight, scales of four layers, norms


def test_a_bank_that_serves_several_stages_is_stored_once():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x):
            return torch.relu(self.layer(x))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Sequential(*(Block() for _ in range(3)))
            self.two = nn.Sequential(*(Block() for _ in range(3)))

        def forward(self, x):
            return self.two(nn.functional.max_pool2d(self.one(x), 2))

    model = softshare.share(Net(), 1, lambda name, module: "all").eval()
    folded = softshare.fold(model)
    assert len(_loops(folded)) == 2 and len(softshare.banks(folded)) == 1
    assert sum("template_stack" in key for key in folded.state_dict()) == 1
    images = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(folded(images), model(images), rtol=1e-4, atol=1e-5)
    assert {stage: str(loops) for stage, loops in folded.folding.loops.items()} == {
        "one": "(a) x 3", "two": "(a) x 3",
    }  # fmt: skip


def test_folded_in_channels_last_autocast_deepcopy_and_compile():
    model = _randomised(softshare.create_model("swrn-22-1-2"), 2).eval().to(memory_format=torch.channels_last)
    tied, folded = softshare.tie(copy.deepcopy(model), 0.5), softshare.fold(model, 0.5)
    images = torch.randn(2, 3, 16, 16).to(memory_format=torch.channels_last)
    reference = tied(images)
    torch.testing.assert_close(folded(images), reference, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(copy.deepcopy(folded)(images), reference, rtol=1e-4, atol=1e-5)
    assert all(bank.template_stack is None or bank.template_stack.is_contiguous(memory_format=torch.channels_last)
               for bank in softshare.banks(folded).values())  # fmt: skip
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(folded(images), tied(images), rtol=0.1, atol=0.1)


def test_a_folded_network_is_not_folded_again():
    folded = softshare.fold(softshare.create_model("swrn-16-1-1"))
    for call in (softshare.fold, softshare.tie, softshare.find_folding):
        with pytest.raises(ValueError, match="folded already"):
            call(folded)


def _count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_groups_that_are_not_named_stay_as_they_are():
    model = _randomised(softshare.create_model("swrn-22-1-2"), 0).eval()
    untouched = {name: value.clone() for name, value in model.state_dict().items() if not name.startswith("stage2")}
    softshare.tie(model, 0.0, groups=["stage2"])
    kinds = {group: type(bank).__name__ for group, bank in softshare.banks(model).items()}
    assert kinds == {"stage1": "TemplateBank", "stage2": "TiedBank", "stage3": "TemplateBank"}
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in untouched.items())
    with pytest.raises(ValueError, match="no group of shared layers is called 'stage7': there are stage1, stage2"):
        softshare.tie(model, 0.0, groups=["stage7"])
