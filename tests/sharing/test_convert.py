"""`share` on models of any kind: what stays, what changes, and what is refused."""

import copy
import pickle

import numpy as np
import pytest
import timm
import torch
import torchvision
from timm.optim import param_groups_weight_decay
from torch import nn

import softshare
from softshare.models.wide_resnet import shared_group


def small():
    torch.manual_seed(0)
    return softshare.create_model("wrn-16-1", 10)


def shared(name="swrn-16-2-1"):
    torch.manual_seed(0)
    return softshare.create_model(name, 10).double()


def plain_twin(model):
    """The same network with its effective weights as ordinary parameters."""
    twin = softshare.create_model("wrn-16-2", 10).to(next(model.parameters()).dtype)
    modules = dict(model.named_modules())
    state = {k: v for k, v in model.state_dict().items() if "template_bank" not in k}
    for name, module in twin.named_modules():
        if isinstance(module, nn.Conv2d) and f"{name}.weight" not in state:
            state[f"{name}.weight"] = modules[name].weight.detach()
    twin.load_state_dict(state)
    return twin.train(model.training)


images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_modules_stay_in_place_and_of_their_type():
    model = small()
    before = dict(model.named_modules())
    assert softshare.share(model, 1, shared_group) is model
    after = {name: module for name, module in model.named_modules() if not name.endswith("template_bank")}
    assert list(before) == list(after)
    assert all(after[name] is module for name, module in before.items())
    conv = model.stage2[1].conv1
    assert isinstance(conv, nn.Conv2d) and type(conv).__name__ == "Conv2d" and conv.weight.shape == (32, 32, 3, 3)


def test_output_equals_the_network_with_the_same_weights():
    model = shared()
    torch.testing.assert_close(model(images), plain_twin(model)(images))


def test_gradients_reach_the_bank_through_accumulation():
    model, twin = shared(), None
    model.train()
    twin = copy.deepcopy(model)
    for part in images.split(2):
        model(part).square().sum().backward()
    (twin(images[:2]).square().sum() + twin(images[2:]).square().sum()).backward()
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)


def test_bank_gradient_is_the_chain_rule_on_the_twin():
    model = shared("swrn-22-2-2")
    modules = dict(model.named_modules())
    bank = softshare.banks(model)["stage3"]
    weights = [modules[name].weight for name in bank.layers]
    for weight in weights:
        weight.retain_grad()
    model(images).square().sum().backward()
    gradients = torch.stack([weight.grad for weight in weights])
    torch.testing.assert_close(bank.coefficients.grad, torch.einsum("loihw,koihw->lk", gradients, bank.templates))
    expected = torch.einsum("lk,loihw->koihw", bank.coefficients, gradients).flatten(0, 1)
    torch.testing.assert_close(bank.template_stack.grad, expected)


def test_state_dict_names_each_parameter_once_and_loads_into_a_fresh_model():
    model = shared()
    state = model.state_dict()
    assert sum("template_stack" in key for key in state) == 3
    pointers = [tensor.data_ptr() for tensor in state.values() if tensor.numel()]
    assert len(set(pointers)) == len(pointers)
    assert [name for name in state if name in dict(model.named_parameters())] == [
        n for n, _ in model.named_parameters()
    ]
    torch.manual_seed(9)
    fresh = softshare.create_model("swrn-16-2-1", 10).double()
    fresh.load_state_dict(state)
    torch.testing.assert_close(fresh.eval()(images), model.eval()(images), rtol=0, atol=0)


def test_deepcopy_and_pickle_are_whole_and_apart():
    model = shared()
    model(images).sum().backward()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        twin.eval()
        model.eval()
        torch.testing.assert_close(twin(images), model(images), rtol=0, atol=0)
        with torch.no_grad():
            softshare.banks(twin)["stage1"].coefficients.mul_(-1)
        assert not torch.allclose(twin(images), model(images))


def test_eval_computes_weights_once(monkeypatch):
    model = shared().eval()
    calls = []
    for bank in softshare.banks(model).values():
        original = bank._synthesise
        monkeypatch.setattr(bank, "_synthesise", lambda d, original=original: calls.append(1) or original(d))
    for _ in range(3):
        model(images)
    assert len(calls) == 3  # one a bank


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_channels_last_changes_nothing(mode):
    model = shared()
    getattr(model, mode)()
    twin = copy.deepcopy(model).to(memory_format=torch.channels_last)
    assert twin.stage2[1].conv2.weight.is_contiguous(memory_format=torch.channels_last)
    ours = twin(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(ours, model(images))
    ours.square().sum().backward()
    model(images).square().sum().backward() if mode == "eval" else None


def test_autocast_trains_and_equals_the_plain_network():
    model = shared().float()
    twin = plain_twin(model)
    inputs = images.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours, theirs = model(inputs), twin(inputs)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    ours.float().square().sum().backward()
    theirs.float().square().sum().backward()
    bank = softshare.banks(model)["stage1"]
    modules = dict(twin.named_modules())
    gradients = torch.stack([modules[name].weight.grad for name in bank.layers])
    expected = torch.einsum("loihw,koihw->lk", gradients, bank.templates)
    torch.testing.assert_close(bank.coefficients.grad, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.long
def test_compile_is_one_graph_with_the_same_gradients():
    model = shared()
    twin = copy.deepcopy(model)
    compiled = torch.compile(model, fullgraph=True)
    for _ in range(2):  # a second call must not see the first one's weights
        for network, owner in ((compiled, model), (twin, twin)):
            owner.zero_grad()
            network(images).square().sum().backward()
        for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-8, msg=name)
        with torch.no_grad():
            for mine, yours in zip(model.parameters(), twin.parameters(), strict=True):
                mine.sub_(mine.grad, alpha=1e-4)
                yours.sub_(yours.grad, alpha=1e-4)
    model.eval()
    twin.eval()
    with torch.no_grad():
        torch.testing.assert_close(compiled(images), twin(images))


@pytest.mark.slow
def test_a_part_of_the_model_compiles_alone():
    model = shared()
    stage = torch.compile(model.stage2, fullgraph=True)
    inputs = torch.randn(2, 32, 16, 16, dtype=torch.float64)
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(stage(inputs), model.stage2(inputs))


def test_export_holds_the_weights_in_the_graph():
    model = shared("swrn-16-1-1").eval()
    program = torch.export.export(model, (images,))
    torch.testing.assert_close(program.module()(images), model(images))


def test_jit_trace():
    model = shared("swrn-16-1-1").eval()
    traced = torch.jit.trace(model, images, check_trace=False)
    with torch.no_grad():
        softshare.banks(model)["stage1"].coefficients.add_(1)
    torch.testing.assert_close(traced(images), model(images))


def test_functional_call_and_func_grad():
    model = shared("swrn-16-1-1").eval()
    parameters = {name: tensor.detach() for name, tensor in model.named_parameters()}

    def loss(values):
        return torch.func.functional_call(model, values, (images,)).square().sum()

    gradients = torch.func.grad(loss)(parameters)
    model(images).square().sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, msg=name)
    model.zero_grad()
    changed = {name: value * 1.1 for name, value in parameters.items()}
    assert not torch.allclose(torch.func.functional_call(model, changed, (images,)), model(images))


def test_activation_checkpointing():
    torch.manual_seed(0)
    model = softshare.share(timm.create_model("resnet26", num_classes=3), templates=1)
    twin = copy.deepcopy(model)
    twin.set_grad_checkpointing(True)
    inputs = torch.randn(2, 3, 64, 64)
    model(inputs).sum().backward()
    twin(inputs).sum().backward()
    for (name, ours), theirs in zip(model.named_parameters(), twin.named_parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs[1].grad, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("loss_count", [1, 2])
def test_two_forwards_then_backward(loss_count):
    model = shared().train()
    twin = copy.deepcopy(model)
    losses = [model(images[:2]).square().sum(), model(images[2:]).square().sum()]
    if loss_count == 1:
        sum(losses).backward()
    else:
        for loss in losses:
            loss.backward()
    for part in images.split(2):
        twin(part).square().sum().backward()
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)


def test_only_coefficients_are_free_of_decay():
    model = shared()
    decayed, free = softshare.parameter_groups(model, 5e-4)
    assert decayed["weight_decay"] == 5e-4 and free["weight_decay"] == 0.0
    coefficients = [bank.coefficients for bank in softshare.banks(model).values()]
    assert [id(p) for p in free["params"]] == [id(p) for p in coefficients]
    assert len(decayed["params"]) + 3 == len(list(model.parameters()))
    (only,) = softshare.parameter_groups(small(), 1e-4)
    assert len(only["params"]) == len(list(small().parameters()))


@pytest.mark.parametrize("tied", [False, True])
def test_coefficients_join_timm_s_list_of_what_is_not_decayed(tied):
    torch.manual_seed(0)
    model = softshare.share(timm.create_model("vit_tiny_patch16_224", num_classes=3), 2, types=nn.Linear)
    if tied:
        softshare.tie(model, 0.9)
        assert len({type(bank) for bank in softshare.banks(model).values()} | {softshare.TiedBank}) == 1
    ours = softshare.undecayed(model)
    assert ours and all(name.endswith((".coefficients", ".scales")) for name in ours)
    listed = model.no_weight_decay() | ours
    free, decayed = param_groups_weight_decay(model, 0.05, no_weight_decay_list=listed)
    assert (free["weight_decay"], decayed["weight_decay"]) == (0.0, 0.05)
    without, _ = param_groups_weight_decay(model, 0.05, no_weight_decay_list=model.no_weight_decay())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    free, without = ({names[id(p)] for p in group["params"]} for group in (free, without))
    assert free == without | ours and {"pos_embed", "blocks.0.norm1.weight", "blocks.0.attn.qkv.bias"} <= free
    stacks = {name for name in names.values() if name.endswith("template_stack")}
    assert stacks and stacks <= {names[id(p)] for p in decayed["params"]}
    # The groups of parameter_groups are made of the same names.
    assert ours == {names[id(p)] for p in softshare.parameter_groups(model, 0.05)[1]["params"]}


def test_of_a_plain_model_all_is_decayed_and_what_is_frozen_is_named_too():
    assert softshare.undecayed(small()) == set()
    model = shared()
    names = softshare.undecayed(model)
    assert len(names) == 3 and names == softshare.undecayed(model.requires_grad_(False))


MODELS = {
    "resnet50": (lambda: torchvision.models.resnet50(), 12, "layer3 Conv2d 256x1024x1x1"),
    "vgg11_bn": (lambda: torchvision.models.vgg11_bn(num_classes=5), 1, "Conv2d 512x512x3x3"),
    "densenet121": (lambda: torchvision.models.densenet121(), 4, "features.denseblock2 Conv2d 32x128x3x3"),
    "mobilenet_v2": (lambda: torchvision.models.mobilenet_v2(), None, None),
    "timm-efficientnet_b0": (lambda: timm.create_model("efficientnet_b0"), None, None),
    "timm-convnext_atto": (lambda: timm.create_model("convnext_atto"), None, None),
    "timm-regnetx_002": (lambda: timm.create_model("regnetx_002"), None, None),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_of_others_train_a_step(name, saved_by):
    make, groups, expected = MODELS[name]
    torch.manual_seed(0)
    model = make()
    before = sum(p.numel() for p in model.parameters())
    softshare.share(model, templates=1)
    banks = softshare.banks(model)
    if groups is not None:
        assert len(banks) == groups and expected in banks
    after = sum(p.numel() for p in model.parameters())
    assert before - after == sum(map(saved_by, banks.values())) > 0
    optimizer = torch.optim.SGD(softshare.parameter_groups(model, 1e-4), lr=0.01)
    model(torch.randn(2, 3, 64, 64)).square().mean().backward()
    optimizer.step()
    for bank in banks.values():
        assert bank.coefficients.grad.isfinite().all()
    assert any(bank.coefficients.grad.abs().sum() > 0 for bank in banks.values())  # some start behind a zero norm


def test_layers_of_a_group_lie_in_one_stage():
    model = softshare.share(torchvision.models.resnet18(), templates=1)
    for bank in softshare.banks(model).values():
        assert len({name.split(".")[0] for name in bank.layers}) == 1


def _by_parts(model):
    softshare.share(model.layer3, 2)
    softshare.share(model.layer4, 1)


def _by_groups(model):
    for templates, stage in ((2, "layer3"), (1, "layer4")):
        softshare.share(model, templates, lambda name, _, stage=stage: stage if f"{stage}.1.conv" in name else None)


@pytest.mark.parametrize("share", [_by_parts, _by_groups])
def test_each_stage_may_have_a_number_of_templates_of_its_own(share):
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=3)
    share(model)
    made = [(bank.num_templates, bank.num_layers) for bank in softshare.banks(model).values()]
    assert made == [(2, 3 if share is _by_parts else 2), (1, 3 if share is _by_parts else 2)]
    assert {bank.weight_shape[0] for bank in softshare.banks(model).values()} == {256, 512}
    before = model.eval()(images.float())
    optimizer = torch.optim.SGD(softshare.parameter_groups(model, 1e-4), lr=0.1)
    before.square().sum().backward()
    optimizer.step()
    after = model(images.float())
    assert not torch.equal(after, before)
    torch.manual_seed(1)
    fresh = torchvision.models.resnet18(num_classes=3).eval()
    share(fresh)
    fresh.load_state_dict(model.state_dict())
    torch.testing.assert_close(fresh(images.float()), after, rtol=0, atol=0)
    with pytest.raises(ValueError, match="is shared already"):
        softshare.share(model)
    softshare.share(softshare.unshare(model), 1)


def test_parts_shared_one_by_one_keep_all_their_banks():
    model = nn.ModuleList([nn.Sequential(*[nn.Conv2d(4, 4, 3) for _ in range(2)]) for _ in range(2)])
    for part in model:
        softshare.share(part, 1)
    assert len(softshare.banks(model)) == 2
    _, free = softshare.parameter_groups(model, 1e-4)
    assert len(free["params"]) == 2


def test_linear_layers_share_on_request():
    model = nn.Sequential(*[nn.Linear(8, 8) for _ in range(3)])
    softshare.share(model, 2, types=(nn.Linear,))
    assert [bank.layers for bank in softshare.banks(model).values()] == [("0", "1", "2")]
    assert model(torch.randn(1, 8)).shape == (1, 8)


def test_a_reader_of_weight_that_never_calls_the_layer_gets_it_with_its_gradient():
    model = nn.Sequential(*[nn.Linear(8, 8) for _ in range(3)])
    softshare.share(model, 2, types=(nn.Linear,))
    nn.functional.linear(torch.randn(1, 8), model[1].weight).sum().backward()
    assert softshare.banks(model).popitem()[1].coefficients.grad[1].abs().sum() > 0


@pytest.mark.parametrize(
    ("templates", "groups", "said"),
    [
        (0, shared_group, "at least 1, not 0"),
        (2.5, shared_group, "at least 1, not 2.5"),
        (True, shared_group, "at least 1, not True"),
        (3, shared_group, "2 layers, fewer than 3 templates"),
        (
            1,
            lambda name, module: "alone" if name == "stem" else None,
            "one layer only, 'stem': let `groups` return None for it",
        ),
        (1, lambda name, module: "all", "different shapes"),
        (1, lambda name, module: None, "no two layers to share"),
        (1, lambda name, module: "conv1" in name, "groups gave False for layer 'stem'; give the name of its group"),
        (1, lambda name, module: [name], r"groups gave \['stem'\] for layer 'stem'; give the name"),
        (1, lambda name, module: (name, [1]), r"groups gave \('stem', \[1\]\) for layer 'stem'"),
        (1, {"stem": "one"}, "must be a function of .name, module., not {'stem': 'one'}"),
    ],
)
def test_refusals_leave_the_model_unchanged(templates, groups, said):
    model = small()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match=said):
        softshare.share(model, templates, groups)
    assert list(before) == list(model.state_dict())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_number_of_templates_may_be_of_numpy():
    model = softshare.share(small(), np.int64(2))
    assert {bank.num_templates for bank in softshare.banks(model).values()} == {2}


def test_a_layer_shared_already_is_refused():
    with pytest.raises(ValueError, match=r"'stage1.1.conv1' is shared already: let `groups` return None"):
        softshare.share(shared(), 1, shared_group)


def test_a_model_with_nothing_to_share_says_why():
    with pytest.raises(ValueError, match="it has no Conv2d"):
        softshare.share(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match=r"alone in its group.*0 \(4, 3, 3, 3\)"):
        softshare.share(nn.Sequential(nn.Conv2d(3, 4, 3)))


def test_frozen_layers_stay_frozen_and_mixed_groups_are_refused():
    model = small().requires_grad_(False)
    softshare.share(model, 1, shared_group)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    for change in ("requires_grad", "dtype", "device"):
        model = small()
        layer = model.stage1[1].conv2
        if change == "requires_grad":
            layer.requires_grad_(False)
        else:
            layer.to(torch.float64 if change == "dtype" else "meta")
        with pytest.raises(ValueError, match=r"different type, device or requires_grad: 'stage1.1.conv1' and"):
            softshare.share(model, 1, shared_group)


def test_a_weight_of_a_shared_layer_cannot_be_replaced_unnoticed():
    model = shared()
    with pytest.raises(AttributeError, match="mixed from its bank"):
        model.stage2[1].conv1.weight = torch.zeros(64, 64, 3, 3)
    with pytest.raises((KeyError, AttributeError)):
        model.stage2[1].conv1.weight = nn.Parameter(torch.zeros(64, 64, 3, 3))
