"""Layers and calls out of the ordinary: served, left alone, or refused in words that say what to do."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

import softshare
from softshare.sharing import TemplateBank


def plain(**settings):
    torch.manual_seed(0)
    return nn.Sequential(*[nn.Conv2d(4, 4, 3, padding=1, **settings) for _ in range(3)])


images = torch.randn(2, 4, 6, 6)


def test_complex_layers_are_left_alone():
    with pytest.raises(ValueError, match=r"complex.*0 \(4, 4, 3, 3\)"):
        softshare.share(plain(dtype=torch.complex64))
    model = softshare.share(nn.Sequential(plain(dtype=torch.complex64), plain()))
    assert [bank.layers for bank in softshare.banks(model).values()] == [("1.0", "1.1", "1.2")]
    with pytest.raises(ValueError, match=r"real numbers, not torch\.complex64"):
        TemplateBank(3, 2, (4, 4), dtype=torch.complex64)


def test_a_data_parallel_replica_names_what_to_use():
    model = softshare.share(plain(), 2)
    replica = model[0]._replicate_for_data_parallel()
    with pytest.raises(RuntimeError, match="DistributedDataParallel"):
        replica.weight  # noqa: B018
    assert model[0].weight.shape == (4, 4, 3, 3)


def test_similarity_on_the_meta_device_is_refused():
    model = softshare.share(plain(device="meta"), 2)
    with pytest.raises(ValueError, match="meta device"):
        softshare.layer_similarity(model)


class Counting(nn.Conv2d):
    """A layer that leaves out of its state what cannot be copied."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.held = io.TextIOWrapper(io.BytesIO())

    def __getstate__(self):
        names = {"training", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"}
        return {key: value for key, value in self.__dict__.items() if key in names or "hook" in key} | {
            key: value for key, value in self.__dict__.items() if isinstance(value, int | str | tuple)
        }


def test_a_layer_s_own_state_is_what_is_copied():
    model = softshare.share(nn.Sequential(*[Counting(4, 4, 3, padding=1) for _ in range(3)]), 2)
    copied = copy.deepcopy(model)
    assert not hasattr(copied[1], "held")
    torch.testing.assert_close(copied(images), model(images), rtol=0, atol=0)
    banks = {id(layer.__dict__["_weight_source"].bank) for layer in copied}
    assert banks == {id(copied[0].template_bank)}
    loaded = pickle.loads(pickle.dumps(model))
    torch.testing.assert_close(loaded(images), model(images), rtol=0, atol=0)


@pytest.mark.parametrize("types", [nn.Conv2d, [nn.Conv2d], {nn.Conv2d, nn.Linear}, iter([nn.Conv2d])])
def test_types_are_one_or_several(types):
    assert len(softshare.banks(softshare.share(plain(), 2, types=types))) == 1


@pytest.mark.parametrize("types", [(), "Conv2d", [nn.Conv2d(1, 1, 1)], [int], None])
def test_types_that_are_none_are_refused(types):
    with pytest.raises(ValueError, match="types must be kinds of modules"):
        softshare.share(plain(), 2, types=types)


def test_at_an_identity_start_the_penalty_has_no_gradient():
    model = softshare.share(plain(), init="identity")
    softshare.recurrence_penalty(model).backward()
    assert not model[0].template_bank.coefficients.grad.any()
