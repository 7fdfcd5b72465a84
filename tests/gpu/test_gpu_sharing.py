"""Sharing on a GPU: weights and gradients are those of a sum over templates, in every form a network is used in."""

import copy

import pytest
import torch
from torch import nn

import softshare
from softshare.models import create_model
from softshare.sharing import TemplateBank, banks


def relative(found, wanted):
    wanted = wanted.detach().double()
    return float((found.detach().double() - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("layers", "templates", "channels"), [(6, 6, 640), (20, 20, 32), (8, 2, 64)])
def test_weights_and_gradients_are_those_of_a_sum(gpu, layout, layers, templates, channels):
    torch.manual_seed(0)
    bank = TemplateBank(layers, templates, (channels, channels, 3, 3)).to(gpu).to(memory_format=layout)
    given = [torch.randn(bank.weight_shape, device=gpu) for _ in range(layers)]
    torch.autograd.backward(bank(), given)
    coefficients = bank.coefficients.detach().double().requires_grad_()
    stack = bank.template_stack.detach().double().requires_grad_()
    each = stack.unflatten(0, (templates, channels))
    sums = [sum(row[j] * each[j] for j in range(templates)) for row in coefficients]
    for found, wanted in zip(bank(), sums, strict=True):
        assert relative(found, wanted) < 1e-6
        assert found.is_contiguous(memory_format=layout)
    torch.autograd.backward(sums, [gradient.double() for gradient in given])
    assert relative(bank.coefficients.grad, coefficients.grad) < 1e-5
    assert relative(bank.template_stack.grad, stack.grad) < 1e-6


def test_under_autocast_the_sum_is_rounded_not_its_parts(gpu):
    torch.manual_seed(0)
    bank = TemplateBank(4, 4, (64, 64, 3, 3)).to(gpu)
    wanted = bank.weight(1).detach()
    with torch.autocast("cuda", torch.bfloat16):
        found = bank.weight(1, autocasts=True)
    assert found.dtype == torch.bfloat16 and torch.equal(found, wanted.to(torch.bfloat16))


def test_a_layer_left_out_has_no_part_in_the_gradient(gpu):
    torch.manual_seed(0)
    bank = TemplateBank(3, 3, (16, 16, 3, 3)).to(gpu)
    bank.weight(2).square().sum().backward()
    assert bank.coefficients.grad[:2].eq(0).all() and bank.coefficients.grad[2].ne(0).all()


def gradients(model, images):
    model.zero_grad(set_to_none=True)
    model(images).square().mean().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("name", ["swrn-16-2-2", "wrn-16-2"])
def test_a_network_s_gradients_are_those_of_the_cpu(gpu, name):
    torch.manual_seed(0)
    model = create_model(name).double()
    images = torch.randn(8, 3, 32, 32, dtype=torch.float64)
    wanted = gradients(model, images)
    found = gradients(model.to(gpu).to(memory_format=torch.channels_last), images.to(gpu))
    for key, gradient in wanted.items():
        assert relative(found[key].cpu(), gradient) < 1e-9, key


def test_a_copy_and_a_move_compute_the_same(gpu):
    torch.manual_seed(0)
    model = create_model("swrn-16-1-2").to(gpu).eval()
    images = torch.randn(4, 3, 32, 32, device=gpu)
    with torch.no_grad():
        wanted = model(images)
        assert torch.equal(copy.deepcopy(model)(images), wanted)
        torch.testing.assert_close(model.cpu()(images.cpu()), wanted.cpu(), rtol=1e-4, atol=1e-4)
        assert torch.equal(model.to(gpu)(images), wanted)


def test_a_folded_network_computes_the_same(gpu):
    torch.manual_seed(0)
    model = create_model("swrn-28-1-2").to(gpu).eval()
    for bank in banks(model).values():
        with torch.no_grad():
            bank.coefficients.copy_(bank.coefficients[:1].expand_as(bank.coefficients))
    images = torch.randn(4, 3, 32, 32, device=gpu)
    with torch.no_grad():
        wanted = model(images)
        folded = softshare.fold(copy.deepcopy(model))
        torch.testing.assert_close(folded(images), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_compiled_it_learns_as_uncompiled(gpu):
    """CUDA graphs replay fixed memory: weights that are computed in the graph must follow the parameters."""
    from softshare.training.device import compiled

    losses = {}
    for kind in ("eager", "compiled"):
        torch.manual_seed(0)
        model = create_model("swrn-16-1-2").to(gpu).to(memory_format=torch.channels_last)
        network = compiled(model, gpu) if kind == "compiled" else model
        optimizer = torch.optim.SGD(softshare.parameter_groups(model, 5e-4), lr=0.02, momentum=0.9, fused=True)
        images = torch.randn(32, 3, 32, 32, device=gpu).to(memory_format=torch.channels_last)
        labels = torch.randint(10, (32,), device=gpu)
        seen = []
        for _ in range(12):
            loss = nn.functional.cross_entropy(network(images).float(), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            seen.append(loss.detach().clone())
        model.eval()
        with torch.no_grad():
            seen.append(nn.functional.cross_entropy(network(images).float(), labels).clone())
        losses[kind] = torch.stack(seen).cpu()
    assert losses["eager"][11] < 0.7 * losses["eager"][0]
    torch.testing.assert_close(losses["compiled"], losses["eager"], rtol=0.02, atol=0.01)
