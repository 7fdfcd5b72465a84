"""Tying: at similarity 1 nothing changes, below it the nearest common weight is taken."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import softshare
from softshare.sharing.similarity import similarity


class Chain(nn.Module):
    """Convolutions with and without a norm behind them, as in a pre-activation residual stream."""

    def __init__(self, layers=5, channels=4):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(layers))
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(layers))

    def forward(self, x):
        for index, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = norm(layer(x)) if index % 2 else x + layer(torch.relu(x))
        return x


def _aligned(model, labels, generator):
    """Sets coefficients so that layers of one label differ in sign and scale alone."""
    for bank in softshare.banks(model).values():
        directions = torch.randn(max(labels) + 1, bank.num_templates, generator=generator)
        scales = torch.randn(len(labels), 1, generator=generator).sign() * (
            0.2 + 2 * torch.rand(len(labels), 1, generator=generator)
        )
        with torch.no_grad():
            bank.coefficients.copy_(directions[labels] * scales)


@given(st.lists(st.integers(0, 3), min_size=5, max_size=5), st.integers(1, 5), st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("of", ["coefficients", "weights"])
def test_at_similarity_1_the_function_is_unchanged(of, labels, templates, seed):
    torch.manual_seed(seed)
    model = softshare.share(Chain(), templates).eval()
    _aligned(model, labels, torch.Generator().manual_seed(seed))
    images = torch.randn(2, 4, 6, 6)
    before = model(images).detach()
    weights = [weight.detach().clone() for bank in softshare.banks(model).values() for weight in bank()]
    softshare.tie(model, 1.0, of=of)
    (tied,) = softshare.banks(model).values()
    for one, other in zip(weights, tied(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(one.abs().max()))
    torch.testing.assert_close(model(images), before, rtol=1e-3, atol=1e-4 * float(before.abs().max()))
    # One template makes all directions one; else as many clusters as labels.
    assert tied.num_templates == (1 if templates == 1 else len(set(labels)))


@given(st.integers(2, 6), st.floats(0.0, 1.0), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_each_weight_is_projected_on_its_clusters(templates, threshold, seed):
    torch.manual_seed(seed)
    model = softshare.share(Chain(6), templates, init="normal")
    (bank,) = softshare.banks(model).values()
    before = torch.stack(bank()).detach().flatten(1).double()
    softshare.tie(model, threshold)
    (tied,) = softshare.banks(model).values()
    after = torch.stack(tied()).detach().flatten(1).double()
    clusters = torch.tensor(tied.clusters)
    for cluster in clusters.unique():
        members = clusters == cluster
        assert float(similarity(after[members]).min()) > 1 - 1e-4  # one weight but for sign and scale
        direction = after[members][0] / after[members][0].norm()
        # the nearest multiple of the common weight ...
        torch.testing.assert_close(
            after[members], (before[members] @ direction)[:, None] * direction, rtol=1e-3, atol=1e-5
        )
        # ... and no other weight fits all members' directions better: it is their leading singular vector
        unit = before[members] / before[members].norm(dim=1, keepdim=True)
        best = torch.linalg.matrix_norm(unit, ord=2) ** 2
        torch.testing.assert_close(((unit @ direction) ** 2).sum(), best, rtol=1e-4, atol=1e-6)


@given(st.integers(1, 6), st.floats(0.0, 1.0), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_parameters_are_what_the_ties_imply(templates, threshold, seed):
    torch.manual_seed(seed)
    model = softshare.share(Chain(6), templates, init="normal")
    before = _count(model)
    softshare.tie(model, threshold)
    (tied,) = softshare.banks(model).values()
    size, clusters = 4 * 4 * 9, tied.num_templates
    held = clusters * size if clusters <= templates else templates * size + clusters * templates
    own = 6 * 4 + 6 * 8  # biases, norms
    assert _count(model) == own + held + 6 - clusters
    assert _count(model) < before or clusters == 6
    matrix, cluster = softshare.layer_similarity(model)[tied.group], torch.tensor(tied.clusters)
    assert matrix[cluster[:, None] == cluster].min() == pytest.approx(1)


def test_layers_alone_keep_their_weight_to_the_bit():
    model = softshare.create_model("swrn-22-1-2")
    weights = {group: [w.clone() for w in bank()] for group, bank in softshare.banks(model).items()}
    softshare.tie(model, 1.0)
    for group, bank in softshare.banks(model).items():
        assert bank.num_templates == 4 and bank.mixed is not None
        assert all(torch.equal(one, other) for one, other in zip(weights[group], bank(), strict=True))


def test_a_tied_model_stays_tied_while_it_trains_and_scales_are_free_of_decay():
    torch.manual_seed(0)
    model = softshare.tie(softshare.create_model("swrn-22-1-2"), 0.0)
    groups = softshare.parameter_groups(model, 5e-4)
    assert sorted(p.numel() for p in groups[1]["params"]) == [3, 3, 3] and groups[1]["weight_decay"] == 0
    optimizer = torch.optim.SGD(groups, lr=0.1)
    before = copy.deepcopy(model.state_dict())
    for _ in range(3):
        loss = nn.functional.cross_entropy(model(torch.randn(4, 3, 16, 16)), torch.arange(4))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for group, bank in softshare.banks(model).items():
        assert bank.scales.grad is not None and bank.template_stack.grad is not None
        assert not torch.equal(before[f"{group}.1.conv1.template_bank.scales"], bank.scales)
        torch.testing.assert_close(softshare.layer_similarity(model, of="weights")[group], torch.ones(4, 4))
    fresh = softshare.tie(softshare.create_model("swrn-22-1-2"), 0.0)
    lenders = {group: bank.lenders for group, bank in softshare.banks(model).items()}
    if lenders == {group: bank.lenders for group, bank in softshare.banks(fresh).items()}:
        fresh.load_state_dict(model.state_dict())


def test_tying_again_changes_nothing():
    model = softshare.tie(softshare.create_model("swrn-22-1-2"), 0.5).eval()
    images = torch.randn(2, 3, 16, 16)
    before, state = model(images), set(model.state_dict())
    torch.testing.assert_close(softshare.tie(model, 0.5)(images), before)
    assert set(model.state_dict()) == state


def test_layers_tied_at_a_high_threshold_join_others_at_a_lower():
    torch.manual_seed(1)
    for templates in (2, 4):
        model = softshare.create_model(f"swrn-22-1-{templates}")
        for bank in softshare.banks(model).values():
            torch.nn.init.normal_(bank.coefficients)
        twice = softshare.tie(softshare.tie(copy.deepcopy(model), 0.97), 0.0)
        assert {bank.num_templates for bank in softshare.banks(twice).values()} == {1}
        assert _count(twice) == _count(softshare.tie(model, 0.0))


def test_near_1_is_not_1():
    model = softshare.share(Chain(4), templates=2)
    (bank,) = softshare.banks(model).values()
    with torch.no_grad():
        bank.coefficients.copy_(torch.tensor([[1.0, 0], [1, 1e-4], [2, 0], [-1, 0]]))
    softshare.tie(model, 1.0)
    (tied,) = softshare.banks(model).values()
    assert tied.clusters == (0, 1, 0, 0)


def test_what_was_frozen_stays_frozen():
    model = softshare.create_model("swrn-22-1-2")
    for bank in softshare.banks(model).values():
        bank.coefficients.requires_grad_(False)
    softshare.tie(model, 0.0)
    for bank in softshare.banks(model).values():
        assert not bank.scales.requires_grad and bank.template_stack.requires_grad


def test_weights_without_values_are_refused():
    with torch.device("meta"):
        model = softshare.create_model("swrn-22-1-2")
    with pytest.raises(ValueError, match="meta device"):
        softshare.tie(model)
    model = softshare.create_model("swrn-22-1-2")
    softshare.banks(model)["stage2"].template_stack.data[0, 0, 0, 0] = float("inf")
    with pytest.raises(ValueError, match="'stage2' has NaN or infinity"):
        softshare.fold(model)


def test_layers_of_other_stride_or_padding_share_the_weight_alone():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.wide = nn.Conv2d(3, 3, 3, padding=1)
            self.strided = nn.Conv2d(3, 3, 3, stride=2, padding=1, padding_mode="reflect")

        def forward(self, x):
            return self.strided(self.wide(x))

    model = softshare.share(Mixed(), templates=1)
    before = model(images := torch.randn(2, 3, 8, 8))
    softshare.tie(model, 1.0)
    assert (model.strided.stride, model.strided.padding_mode, model.wide.stride) == ((2, 2), "reflect", (1, 1))
    torch.testing.assert_close(model(images), before, rtol=1e-4, atol=1e-5)
    assert softshare.banks(model)["Conv2d 3x3x3x3"].num_templates == 1


def test_coefficients_that_vanish_do_no_harm():
    model = softshare.share(Chain(3), templates=2)
    (bank,) = softshare.banks(model).values()
    with torch.no_grad():
        bank.coefficients.zero_()
    softshare.tie(model, 0.0)
    assert torch.isfinite(model(torch.randn(1, 4, 5, 5))).all()


@pytest.mark.parametrize("call", [softshare.tie, softshare.fold])
def test_what_cannot_be_tied_is_told_and_left(call):
    model = softshare.create_model("swrn-16-1")
    for threshold in (1.5, -0.5, float("nan")):
        with pytest.raises(ValueError, match=r"lies in \[0, 1\]"):
            call(model, threshold)
    assert isinstance(next(iter(softshare.banks(model).values())), softshare.TemplateBank)
    with pytest.raises(ValueError, match="no shared layers"):
        call(softshare.create_model("wrn-16-1"), 0.8)
    with pytest.raises(ValueError, match="'coefficients' or 'weights'"):
        call(model, 0.8, of="norms")


def test_groups_are_several_names():
    model = softshare.create_model("swrn-16-1")
    group = next(iter(softshare.banks(model)))
    with pytest.raises(ValueError, match="groups are several names"):
        softshare.tie(model, groups=group)


def _count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("templates", [5, 3])
def test_similarity_of_layers_apart_is_that_before_two_others_were_tied(templates):
    torch.manual_seed(0)
    model = softshare.share(Chain(), templates)
    (bank,) = softshare.banks(model).values()
    with torch.no_grad():
        bank.coefficients[:, 0] += 0.5
        bank.coefficients[4] = -2 * bank.coefficients[0]
    of = "coefficients" if templates == 3 else "weights"
    (before,) = softshare.layer_similarity(model, of).values()
    assert before[1:4, 1:4][~torch.eye(3, dtype=bool)].min() > 0.01
    softshare.tie(model, 1.0)
    (tied,) = softshare.banks(model).values()
    assert (tied.mixed is not None) == (templates == 3)  # where it is None what is left is weights
    torch.testing.assert_close(softshare.layer_similarity(model)[tied.group], before, rtol=0, atol=1e-5)
    trained = tied.template_stack if tied.mixed is None else tied.mixed.coefficients
    penalty = softshare.recurrence_penalty(model)
    matrix = softshare.layer_similarity(model)[tied.group]
    assert float(penalty.detach()) == pytest.approx(float(matrix.sum()), rel=1e-5)
    penalty.backward()
    assert trained.grad.abs().max() > 1e-3
