"""Writing to the weight of a shared layer is refused in plain words; the bank is what can be written to."""

import pytest
import torch
from torch import nn

import softshare
from softshare.sharing import INITIALISATIONS, TemplateBank

SAID = r"template_stack.*coefficients.*share\(model, init='svd'\)"


def net():
    torch.manual_seed(0)
    return softshare.share(nn.Sequential(*[nn.Conv2d(4, 4, 3, padding=1) for _ in range(3)]), 2)


def initialise(module):
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight)


def clip(module):
    if isinstance(module, nn.Conv2d):
        with torch.no_grad():
            module.weight.clamp_(-0.01, 0.01)


images = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("write", [initialise, clip])
@pytest.mark.parametrize("seen_by", ["forward", "no_grad", "train", "eval", "the next layer"])
def test_writing_is_refused_and_nothing_is_left_of_it(write, training, seen_by):
    model = net().train(training)
    expected = model(images).detach()
    with torch.no_grad():
        model(images)
    with pytest.raises(RuntimeError, match=SAID):
        if seen_by == "the next layer":
            model.apply(write)
        write(model[2])
        if seen_by == "no_grad":
            with torch.no_grad():
                model(images)
        model.train() if seen_by == "train" else model.eval() if seen_by == "eval" else model(images)
    torch.testing.assert_close(model(images), expected, rtol=0, atol=0)
    model(images).sum().backward()


@pytest.mark.parametrize("training", [True, False])
def test_a_write_is_seen_though_the_bank_changed_since(training):
    model = net().train(training)
    clip(model[1])
    with torch.no_grad():
        model[0].template_bank.coefficients.mul_(2.0)
    with pytest.raises(RuntimeError, match=SAID):
        model(images)


def test_loading_after_a_write_is_no_error():
    model = net()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    expected = model(images).detach()
    clip(model[1])
    model.load_state_dict(state)
    torch.testing.assert_close(model(images), expected, rtol=0, atol=0)


@pytest.mark.parametrize("init", INITIALISATIONS)
def test_a_bank_is_reset_to_what_it_would_start_as(init):
    torch.manual_seed(3)
    expected = TemplateBank(4, 4, (3, 5), init)
    bank = TemplateBank(4, 4, (3, 5), init)
    bank.eval()()
    torch.manual_seed(3)
    bank.reset_parameters()
    for ours, theirs in zip(bank.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(bank.weight(1), expected.weight(1))


def test_a_bank_that_started_from_weights_is_reset_too():
    plain = nn.Sequential(*[nn.Conv2d(4, 4, 3, padding=1) for _ in range(3)])
    bank = softshare.share(plain, 2, init="svd")[0].template_bank
    before = bank.template_stack.detach().clone()
    bank.reset_parameters()
    assert not torch.equal(bank.template_stack, before)
    coefficients = bank.coefficients.detach()
    torch.testing.assert_close(coefficients.t() @ coefficients, torch.eye(2))


def test_a_model_made_on_the_meta_device_is_filled_by_resetting_all_modules():
    with torch.device("meta"):
        model = net()
    model.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(float("nan"))
    with pytest.warns(UserWarning, match=r"bank.*reset_parameters"):
        model.apply(lambda module: module.reset_parameters() if hasattr(module, "reset_parameters") else None)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert model(images).std() > 0.01


def test_resetting_a_shared_layer_leaves_the_bank_alone_and_says_so():
    model = net()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.warns(UserWarning, match=r"bank.*reset_parameters"):
        model[1].reset_parameters()
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"1.bias"}
    assert model[1].weight.shape == (4, 4, 3, 3)
    assert [name for name, _ in model[1].named_parameters()] == ["bias"]
