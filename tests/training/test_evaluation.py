"""Errors counted in bf16, where the highest scores are often the same number."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from softshare.data.loaders import TensorLoader
from softshare.training.evaluation import evaluate, mistakes


class Scores(nn.Module):
    """Gives each image its scores, a few numbers that many classes share."""

    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def forward(self, images):
        return self.scores[(images[:, 0, 0, 0] * 255).round().long()]


@given(images=st.integers(1, 60), classes=st.integers(2, 12), levels=st.integers(1, 3), seed=st.integers(0, 1000))
def test_which_images_are_wrong_and_how_many_agree_also_on_ties(images, classes, levels, seed):
    torch.manual_seed(seed)
    model = Scores(torch.randint(levels, (images, classes)).bfloat16())
    labels = torch.randint(classes, (images,))
    pixels = torch.arange(images, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    loader = TensorLoader(
        pixels, labels, batch_size=7, mean=(0.0,), std=(1.0,), seed=0, shuffle=False, augmentation=None
    )
    wrong = mistakes(model, loader, "fp32")
    score = evaluate(model, model, loader, "fp32")
    assert abs(score.error - 100 * wrong.mean()) < 1e-9 and score.images == images
    best = model.scores.max(1).values
    sure = model.scores.eq(best[:, None]).sum(1) == 1
    assert (wrong == (model.scores.float().argmax(1) != labels).numpy())[sure.numpy()].all()
