"""Weights that a bank keeps are those of the parameters that stand there now, whatever was done to them."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

import softshare
from softshare.sharing import TemplateBank

KEY = "0.template_bank.coefficients"


def net(width=4, layers=3, templates=2):
    torch.manual_seed(0)
    plain = nn.Sequential(*[nn.Conv2d(width, width, 3, padding=1) for _ in range(layers)])
    return softshare.share(plain, templates)


def mixed(bank, layer):
    return torch.einsum("k,k...->...", bank.coefficients[layer], bank.templates)


images = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_coefficients_that_take_a_freed_one_s_place_are_seen():
    """A candidate after the other, as an evolution strategy tries them: each is freed before the next is made."""
    model = net().eval()
    start = model.state_dict()[KEY].clone()

    def score(seed):
        noise = torch.randn(start.shape, generator=torch.Generator().manual_seed(seed))
        return functional_call(model, {KEY: start + 0.1 * noise}, (images,)).sum().item()

    scores = [score(seed) for seed in range(400)]
    for seed, ours in enumerate(scores):
        model[0].template_bank.forget()
        assert score(seed) == ours, seed


@torch.no_grad()
def test_data_put_twice_where_the_first_lay_are_seen():
    bank = TemplateBank(3, 2, (64, 64)).eval()
    for _ in range(20):
        bank()
        for _ in range(2):  # the second may lie where the first did
            bank.template_stack.data = bank.template_stack.data * 1.1
        torch.testing.assert_close(bank.weight(1), mixed(bank, 1))


@pytest.mark.parametrize("end", ["backward", "forget", "another forward"])
def test_what_weights_were_made_from_is_held_no_longer_than_they(end):
    model = net()
    stack = "0.template_bank.template_stack"
    given = model.state_dict()[stack].clone().requires_grad_()
    held = weakref.ref(given)
    loss = functional_call(model, {stack: given}, (images,)).sum()
    if end == "backward":
        loss.backward()
    del loss, given
    if end == "forget":
        model[0].template_bank.forget()
    elif end == "another forward":
        model(images)
    gc.collect()
    assert held() is None


def test_templates_that_are_thawed_after_a_forward_have_a_gradient():
    model = net()
    bank = model[0].template_bank
    bank.template_stack.requires_grad_(False)
    model(images)
    bank.template_stack.requires_grad_(True)
    model(images).sum().backward()
    assert bank.template_stack.grad is not None


def test_templates_that_are_frozen_after_a_forward_have_no_gradient():
    model = net()
    bank = model[0].template_bank
    model(images)
    bank.template_stack.requires_grad_(False)
    model(images).sum().backward()
    assert bank.template_stack.grad is None and bank.coefficients.grad is not None


def halve(model):
    for parameter in model.parameters():
        parameter.data.mul_(0.5)


def outputs(model):
    with torch.no_grad():
        return model(images)


def fresh(model):
    """What a new model with the same parameters gives."""
    other = net().train(model.training)
    other.load_state_dict(model.state_dict())
    return outputs(other)


@pytest.mark.parametrize("made", [lambda model: model, softshare.tie, lambda model: nn.Sequential(*model[1:])])
def test_forget_shows_a_change_that_no_version_tells_of(made):
    model = net()
    part = made(model).eval()
    before = outputs(part)
    halve(model)
    softshare.forget(part)
    assert not torch.allclose(outputs(part), before)
    softshare.forget(nn.Linear(2, 2))  # nothing shared, nothing done


def test_parameters_in_shared_memory_are_followed_at_once():
    model = net().eval()
    outputs(model)
    model.share_memory()
    for _ in range(2):
        torch.testing.assert_close(outputs(model), fresh(model))
        halve(model)  # as another process would: no version tells of it
    model(images).sum().backward()
    bank, ours = model[0].template_bank, {name: p.grad.clone() for name, p in model.named_parameters()}
    assert bank.coefficients.grad.any() and bank.template_stack.grad.any()
    other = net().eval()
    other.load_state_dict(model.state_dict())
    other(images).sum().backward()
    for name, parameter in other.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, msg=name)


def test_an_optimiser_through_data_is_seen_though_the_loss_was_logged_in_between():
    model = net()
    model(images).sum().backward()
    outputs(model)
    halve(model)
    torch.testing.assert_close(model(images), fresh(model))


def count(monkeypatch, model):
    bank, made = model[0].template_bank, []
    original = bank._synthesise
    monkeypatch.setattr(bank, "_synthesise", lambda dtype: made.append(dtype) or original(dtype))
    return made


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_a_checkpoint_costs_no_synthesis(monkeypatch, whole, reentrant):
    model = net()
    made = count(monkeypatch, model)
    hidden = images.clone().requires_grad_()
    for part in [model] if whole else model:
        hidden = checkpoint(part, hidden, use_reentrant=reentrant)
    hidden.sum().backward()
    # Of layers that run again one by one, each backward spends the weights of its forward.
    assert len(made) == (1 if whole or not reentrant else 3)


def test_forwards_before_one_backward_and_forwards_in_eval_share_one_synthesis(monkeypatch):
    model = net()
    made = count(monkeypatch, model)
    (model(images) + model(images)).sum().backward()
    assert len(made) == 1
    model.eval()
    for _ in range(3):
        outputs(model)
        model(images)
    assert len(made) == 2
    model.train().requires_grad_(False)
    for _ in range(3):
        outputs(model)
        model(images)
    assert len(made) == 3


def test_gradcheck_over_the_parameters_needs_forget():
    model = net(layers=2, templates=1).double().eval()
    example = images[..., :3, :3].double()

    def loss(*_):
        softshare.forget(model)
        return model(example)

    assert torch.autograd.gradcheck(loss, list(model.parameters()))
