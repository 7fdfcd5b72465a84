"""F1 over all pixels, against scikit-learn's."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, log_loss
from torch import nn

from softshare.data.shortest_paths import PathSet
from softshare.errors import UserError
from softshare.training import path_evaluation
from softshare.training.path_evaluation import evaluate_paths, f1_of, predict_paths


class Marks(nn.Module):
    """Answers each example with logits of its own, which its inputs hold as bytes around 128."""

    def forward(self, grids: torch.Tensor) -> torch.Tensor:
        assert not self.training
        return (grids[:, 0] - 128) / 16 + grids[:, 1] * 0


def scikit_learn_s(marked: np.ndarray, wanted: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing is marked nor to be marked
        return f1_score(wanted.ravel(), marked.ravel(), zero_division=0.0)


@given(
    st.integers(1, 150),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    st.sampled_from([100, 128, 140, 255]),
    st.integers(0, 10**6),
)
def test_f1_is_scikit_learn_s_over_all_pixels(count, side, density, most, seed):
    generator = np.random.default_rng(seed)
    logits = generator.integers(0, most, (count, 1, side, side), endpoint=True).astype(np.uint8)
    inputs = np.concatenate([logits, np.zeros_like(logits)], axis=1)
    labels = (generator.random((count, side, side)) < density).astype(np.uint8)
    examples = PathSet(torch.from_numpy(inputs), torch.from_numpy(labels))
    model = Marks().train()
    score = evaluate_paths(model, model, examples, "fp32")
    assert score.f1 == pytest.approx(scikit_learn_s(logits[:, 0] > 128, labels), abs=1e-12)
    probabilities = 1 / (1 + np.exp(-(logits[:, 0].astype(float) - 128) / 16))
    # log(1 + e^-x) is rounded as a number near 1 in fp32: some eps of 1.2e-7, whatever is left of it.
    expected = log_loss(labels.ravel(), probabilities.ravel(), labels=[0, 1])
    assert score.loss == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert score.examples == count
    np.testing.assert_allclose(predict_paths(model, examples, "fp32"), probabilities, rtol=1e-5)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_f1_of_counts(pixels):
    wanted, marked = np.array(pixels).T
    _, false_positives, false_negatives, true_positives = confusion_matrix(wanted, marked, labels=[0, 1]).ravel()
    found = f1_of(int(true_positives), int(false_positives), int(false_negatives))
    assert found == pytest.approx(scikit_learn_s(marked, wanted), abs=1e-12)


def test_the_size_of_a_batch_plays_no_part(monkeypatch):
    generator = np.random.default_rng(0)
    inputs = torch.from_numpy(generator.integers(0, 255, (70, 2, 5, 5)).astype(np.uint8))
    examples = PathSet(inputs, torch.from_numpy(generator.integers(0, 2, (70, 5, 5)).astype(np.uint8)))
    model = Marks()
    whole = evaluate_paths(model, model, examples, "fp32")
    monkeypatch.setattr(path_evaluation, "_BATCH", 9)
    again = evaluate_paths(model, model, examples, "fp32")
    assert whole.f1 == again.f1 and whole.loss == pytest.approx(again.loss, rel=1e-6)


@pytest.mark.attack("a loss that is no number")
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_no_numbers_are_no_score(wrong):
    """Not even where F1 would be 0 or whole: what is NaN is not marked."""
    grids, labels = torch.zeros(2, 2, 4, 4, dtype=torch.uint8), torch.zeros(2, 4, 4, dtype=torch.uint8)
    labels[1] = 1
    model = nn.Identity()

    def network(inputs):
        return inputs[:, 0] + torch.tensor(wrong)

    with pytest.raises(UserError, match="the loss on test examples is no number"):
        evaluate_paths(network, model, PathSet(grids, labels), "fp32")
