"""The layer similarity matrix, its chance level and the penalty."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import softshare
from softshare.sharing.similarity import similarity


@given(st.integers(2, 8), st.integers(1, 6), st.integers(0, 1000))
def test_similarity_ignores_scale_and_sign(layers, size, seed):
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(layers, size, generator=generator, dtype=torch.float64)
    scales = torch.randn(layers, 1, generator=generator, dtype=torch.float64) + torch.tensor(0.1)
    matrix = similarity(vectors)
    torch.testing.assert_close(similarity(vectors * scales), matrix, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(matrix, matrix.t())
    torch.testing.assert_close(matrix.diagonal(), torch.ones(layers, dtype=torch.float64))
    for i in range(layers):
        for j in range(layers):
            cosine = torch.nn.functional.cosine_similarity(vectors[i], vectors[j], dim=0).abs()
            torch.testing.assert_close(matrix[i, j], cosine, rtol=1e-6, atol=1e-8)


def test_identity_at_the_start_with_one_template_a_layer_and_ones_with_one():
    for matrix in softshare.layer_similarity(softshare.create_model("swrn-28-1")).values():
        torch.testing.assert_close(matrix, torch.eye(6), rtol=0, atol=1e-5)
    for of in ("coefficients", "weights"):
        for matrix in softshare.layer_similarity(softshare.create_model("swrn-28-1-1"), of=of).values():
            torch.testing.assert_close(matrix, torch.ones(6, 6))


def test_weights_similarity_is_that_of_the_synthesised_weights():
    model = softshare.create_model("swrn-28-1-4")
    matrices = softshare.layer_similarity(model, of="weights")
    for group, bank in softshare.banks(model).items():
        weights = torch.stack([weight.detach().flatten() for weight in bank()])
        torch.testing.assert_close(matrices[group], similarity(weights), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "templates", "mean", "maximum"),
    [(6, 4, 0.27, 0.77), (6, 2, 0.58, 0.99), (6, 1, 1, 1), (10, 8, 0.13, 0.54), (6, 6, 0, 0)],
)
def test_chance_levels_worked_out_elsewhere(layers, templates, mean, maximum):
    chance = softshare.chance_similarity(layers, templates)
    assert chance.mean == pytest.approx(mean, abs=0.005) and chance.maximum == pytest.approx(maximum, abs=0.008)


def test_chance_level_is_that_of_real_starts():
    pairs = []
    for seed in range(300):
        torch.manual_seed(seed)
        matrix = similarity(torch.nn.init.orthogonal_(torch.empty(6, 4)))
        pairs.append(matrix[*torch.triu_indices(6, 6, 1)])
    chance = softshare.chance_similarity(6, 4)
    assert torch.stack(pairs).mean().item() == pytest.approx(chance.mean, abs=0.01)


def test_penalty_is_the_sum_and_its_gradient_brings_layers_together():
    torch.manual_seed(0)
    model = softshare.create_model("swrn-28-1-4")
    total = sum(matrix.sum() for matrix in softshare.layer_similarity(model).values())
    penalty = softshare.recurrence_penalty(model)
    torch.testing.assert_close(penalty.detach(), total)
    torch.testing.assert_close(softshare.recurrence_penalty(model, diagonal=False), penalty - 18)
    optimizer = torch.optim.SGD([bank.coefficients for bank in softshare.banks(model).values()], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        (-softshare.recurrence_penalty(model)).backward()
        optimizer.step()
    assert softshare.recurrence_penalty(model) > 0.99 * 3 * 36


def test_on_the_meta_device_the_penalty_has_its_shape_and_a_gradient():
    model = softshare.create_model("swrn-16-1").to("meta")
    penalty = softshare.recurrence_penalty(model)
    penalty.backward()
    assert penalty.is_meta and penalty.shape == ()
    assert all(bank.coefficients.grad.is_meta for bank in softshare.banks(model).values())


def test_a_model_without_shared_layers_is_refused():
    with pytest.raises(ValueError, match="no shared layers"):
        softshare.layer_similarity(softshare.create_model("wrn-16-1"))
    with pytest.raises(ValueError, match="'coefficients' or 'weights'"):
        softshare.layer_similarity(softshare.create_model("swrn-16-1"), of="nonsense")
    with pytest.raises(ValueError, match="k = 7"):
        softshare.chance_similarity(6, 7)
