"""`unshare`: the plain network again, to the name, the order and the bit."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize

import softshare
from softshare.models.survey import ARCHITECTURES
from softshare.sharing.looped_blocks import LoopedBlocks

NAMES = [
    "torchvision.resnet50",
    "torchvision.densenet121",
    "torchvision.efficientnet_b0",
    "timm.regnetx_002",
    "timm.nf_regnet_b0",
    "timm.convnext_atto",
    "timm.mobilevit_xxs",
    "timm.vit_tiny_patch16_224",
    "timm.mixer_s32_224",
]


def chain(layers=4, **setting):
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Conv2d(4, 4, 3, padding=1, **setting) for _ in range(layers)))


images = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1))


def outputs(model, x=images):
    with torch.no_grad():
        return model.eval()(x)


def same(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def anatomy(model):
    """All that a model is but for the values of its tensors."""
    of_module = [
        (name, type(module), sorted(module.__dict__), len(module._forward_hooks), len(module._forward_pre_hooks))
        for name, module in model.named_modules()
    ]
    tensors = [(key, value.shape, value.dtype, value.requires_grad) for key, value in model.named_parameters()]
    return of_module, tensors, list(model.state_dict())


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a.name in NAMES], ids=lambda a: a.name)
def test_networks_of_others_are_what_they_were_before_they_were_shared(architecture):
    torch.manual_seed(0)
    plain = architecture.build()
    model = softshare.share(copy.deepcopy(plain), 2, types=architecture.types)
    x = torch.randn(1, 3, architecture.pixels, architecture.pixels)
    expected = outputs(model, x)
    assert softshare.unshare(model) is model
    same(outputs(model, x), expected)
    assert anatomy(model) == anatomy(plain.eval())
    plain.load_state_dict(model.state_dict())
    same(outputs(plain, x), expected)


def test_all_networks_are_tried():
    assert set(NAMES) <= {architecture.name for architecture in ARCHITECTURES}


@pytest.mark.parametrize("threshold", [None, 0.9, 0.3])
def test_the_paper_s_network_becomes_the_plain_one(threshold):
    torch.manual_seed(0)
    model = softshare.create_model("swrn-22-1-2", 10)
    if threshold is not None:
        softshare.tie(model, threshold)
    x = torch.randn(2, 3, 32, 32)
    expected = outputs(model, x)
    plain = softshare.create_model("wrn-22-1", 10)
    plain.load_state_dict(softshare.unshare(model).state_dict())
    same(outputs(model, x), expected)
    same(outputs(plain, x), expected)


@given(
    layers=st.integers(2, 5),
    templates=st.integers(1, 5),
    threshold=st.none() | st.floats(0, 1),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    innermost=st.booleans(),
    trained=st.booleans(),
    used=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_weights_and_outputs_are_the_same_bits(layers, templates, threshold, dtype, innermost, trained, used):
    model = chain(layers, dtype=dtype).requires_grad_(trained)
    if innermost:
        model.to(memory_format=torch.channels_last)
    plain = copy.deepcopy(model).eval()
    softshare.share(model, min(templates, layers))
    if threshold is not None:
        softshare.tie(model, threshold)
    if used:
        model(images.to(dtype))
    expected = [layer.weight.detach() for layer in model]
    before = outputs(model, images.to(dtype))
    softshare.unshare(model)
    assert anatomy(model) == anatomy(plain)
    for layer, weight in zip(model, expected, strict=True):
        same(layer.weight, weight)
        assert layer.weight.stride() == weight.stride()
        assert layer.weight.untyped_storage().nbytes() == weight.numel() * weight.element_size()
    same(outputs(model, images.to(dtype)), before)


def test_a_start_from_weights_ends_with_them():
    plain = chain()
    model = softshare.unshare(softshare.share(copy.deepcopy(plain), init="svd"))
    for key, tensor in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], tensor, rtol=1e-4, atol=1e-5, msg=key)


@pytest.mark.parametrize("frozen", ["coefficients", "template_stack"])
def test_what_trains_in_part_trains(frozen):
    model = softshare.share(chain(), 2)
    getattr(model[0].template_bank, frozen).requires_grad_(False)
    assert all(layer.weight.requires_grad for layer in softshare.unshare(model))


def test_a_lender_is_frozen_where_only_scales_train():
    model = softshare.tie(softshare.share(chain(), 1), 0.5)
    (bank,) = softshare.banks(model).values()
    bank.template_stack.requires_grad_(False)
    softshare.unshare(model)
    assert [layer.weight.requires_grad for layer in model] == [index not in bank.lenders for index in range(4)]


def test_each_layer_trains_by_itself():
    model = softshare.unshare(softshare.share(chain(), 1))
    model(images).square().sum().backward()
    before = [layer.weight.detach().clone() for layer in model]
    model[2].requires_grad_(False)
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1).step()
    assert [torch.equal(layer.weight, weight) for layer, weight in zip(model, before, strict=True)] == [
        False, False, True, False,
    ]  # fmt: skip


def test_layers_that_share_in_part_or_part_by_part():
    model = nn.ModuleDict({"one": chain(), "two": chain(3), "three": chain(2)})
    plain = copy.deepcopy(model)
    softshare.share(model["one"], 1)
    softshare.share(model, 1, lambda name, module: "some" if name in ("two.0", "two.2") else None)
    model["two"].alias = model["two"][2]
    plain["two"].alias = plain["two"][2]
    expected = {name: outputs(part).clone() for name, part in model.items()}
    softshare.unshare(model)
    assert anatomy(model) == anatomy(plain.eval())
    for name, part in model.items():
        same(outputs(part), expected[name])


def test_what_was_cut_off_from_its_bank_is_mended():
    model = softshare.share(chain(), 2)
    expected = outputs(model[1:])
    part = softshare.unshare(nn.Sequential(*model[1:]))
    same(outputs(part), expected)
    assert not any(isinstance(module, softshare.TemplateBank) for module in part.modules())


def test_a_bank_that_was_moved_goes_too():
    model = softshare.share(chain(), 2)
    model[1].kept = model[0].template_bank
    model[0] = nn.Conv2d(4, 4, 3, padding=1)
    assert anatomy(softshare.unshare(model)) == anatomy(chain())


class Scaled(nn.Linear):
    """A layer whose weight is not its first parameter."""

    def __init__(self):
        super().__init__(4, 4)
        weight = self._parameters.pop("weight")
        self.register_parameter("weight", weight)
        self.gain = nn.Parameter(torch.ones(4))


def test_a_weight_is_put_back_where_it_stood():
    model = nn.Sequential(Scaled(), Scaled())
    names = [name for name, _ in model.named_parameters()]
    assert names[:3] == ["0.bias", "0.weight", "0.gain"]
    model = pickle.loads(pickle.dumps(softshare.share(model, 1, types=nn.Linear)))
    assert [name for name, _ in softshare.unshare(model).named_parameters()] == names


def test_copies_are_turned_back_alone():
    model = softshare.share(chain(), 2)
    expected = outputs(model)
    plain = softshare.unshare(copy.deepcopy(model))
    assert softshare.banks(model) and not softshare.banks(plain)
    for twin in (copy.deepcopy(plain), pickle.loads(pickle.dumps(plain))):
        assert anatomy(twin) == anatomy(chain().eval())
        same(outputs(twin), expected)
    same(outputs(softshare.unshare(pickle.loads(pickle.dumps(model)))), expected)


def test_captured_weights_are_constants():
    model = softshare.share(chain(), 2)
    mixes = {"aten::matmul", "aten::mm"}
    assert mixes & {node.kind() for node in torch.jit.trace(model, images).inlined_graph.nodes()}
    softshare.unshare(model)
    traced, exported = torch.jit.trace(model, images), torch.export.export(model, (images,))
    assert not mixes & {node.kind() for node in traced.inlined_graph.nodes()}
    assert {node.target for node in exported.graph.nodes if node.op == "call_function"} == {
        torch.ops.aten.conv2d.default
    }
    for captured in (traced, exported.module()):
        torch.testing.assert_close(captured(images), model(images))


def test_it_may_be_shared_again():
    model = softshare.unshare(softshare.share(chain(), 2))
    expected = outputs(model)
    softshare.share(model, 2, init="svd")  # of rank 2
    torch.testing.assert_close(outputs(model), expected, rtol=1e-4, atol=1e-5)
    assert len(model._forward_pre_hooks) == 1


@pytest.mark.parametrize("mode", [lambda: torch.autocast("cpu", torch.bfloat16), torch.inference_mode, torch.no_grad])
def test_the_mode_that_it_is_called_in_is_nothing_to_it(mode):
    model, twin = softshare.share(chain(), 2), softshare.share(chain(), 2)
    twin.load_state_dict(model.state_dict())
    with mode():
        softshare.unshare(model)
    same(outputs(model), outputs(twin))
    assert all(p.requires_grad and p.dtype == torch.float32 and not p.is_inference() for p in model.parameters())


def looped():
    model = softshare.fold(softshare.share(nn.Sequential(chain(), nn.ReLU()), 1), 0.5)
    assert any(isinstance(module, LoopedBlocks) for module in model.modules())
    return model


def parametrised():
    model = softshare.share(chain(), 2)
    parametrize.register_parametrization(model[2], "bias", nn.ReLU())
    return model


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (chain, "Sequential has no shared layers; it is plain already"),
        (lambda: softshare.unshare(softshare.share(chain())), "no shared layers"),
        (looped, "Sequential is folded; take the network that it was made from"),
        (lambda: looped()[0], "is folded"),
        (parametrised, "layer '2' was given another type after it was shared; take parametrisations off it"),
    ],
)
def test_what_cannot_be_turned_back_is_refused_and_unchanged(make, said):
    model = make()
    x = outputs(model)
    before = anatomy(model)
    with pytest.raises(ValueError, match=said):
        softshare.unshare(model)
    assert anatomy(model) == before
    same(outputs(model), x)


def test_a_weight_that_was_written_to_is_refused():
    model = softshare.share(chain(), 2)
    with torch.no_grad():
        model[1].weight.mul_(2)
    with pytest.raises(RuntimeError, match="was written to"):
        softshare.unshare(model)
    assert len(softshare.banks(model)) == 1
