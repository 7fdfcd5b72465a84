"""A bank goes with the first layer of its group: who cuts that off is told."""

import copy
import warnings

import pytest
import torch
from torch import nn

import softshare

SAID = r"take their weight from a bank that is not in the model"


def net():
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()) for _ in range(4)]
    return softshare.share(nn.Sequential(*layers), 2)


images = torch.randn(2, 4, 6, 6)


@pytest.mark.parametrize(
    "use",
    [
        softshare.banks,
        softshare.layer_similarity,
        softshare.recurrence_penalty,
        softshare.tie,
        softshare.undecayed,
        softshare.fold,
        lambda model: softshare.parameter_groups(model, 1e-4),
    ],
)
def test_a_model_without_the_bank_of_its_layers_is_refused(use):
    model = net()
    use(copy.deepcopy(model))
    model[0] = nn.Conv2d(4, 4, 1)
    with pytest.raises(ValueError, match=rf"3 shared layers of Sequential, '1.0' the first, {SAID}.*'0.0'"):
        use(model)


def test_its_forward_warns_once_after_each_change():
    model = net()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(images)
        model[3] = nn.Identity()  # holds no bank
        model(images)
    removed = model[0]
    model[0] = nn.Identity()
    with pytest.warns(UserWarning, match=SAID) as told:
        model(images)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(images)
        model[1][0].template_bank = removed[0].template_bank  # as the message says
        model(images)
        assert len(softshare.banks(model)) == 1
        copy.deepcopy(model)(images)


def test_tied_and_folded_models_have_their_banks():
    model = net().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for made in (softshare.tie(copy.deepcopy(model), 0.3), softshare.fold(model, 0.3)):
            made(images)
            assert softshare.banks(made) and softshare.parameter_groups(made, 0.0)
