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


@pytest.mark.parametrize("init", ["orthogonal", "svd"])
@pytest.mark.parametrize("kind", [nn.BatchNorm2d, nn.LayerNorm, nn.PReLU])
def test_weights_of_one_dimension_are_refused(kind, init):
    model = nn.Sequential(*(nn.Sequential(layer, kind(4)) for layer in plain()))
    said = (
        rf"fewer than two dimensions, '0.1' \(4,\).*leave {kind.__name__} out of `types`, or let `groups` return None"
    )
    with pytest.raises(ValueError, match=said):
        softshare.share(model, 2, init=init, types=(nn.Conv2d, kind))
    assert not softshare.banks(model)
    softshare.share(model, 2, lambda name, m: None if isinstance(m, kind) else "all", init=init, types=nn.Module)
    assert [bank.layers for bank in softshare.banks(model).values()] == [("0.0", "1.0", "2.0")]


def test_a_scalar_weight_is_refused():
    model = nn.Sequential(*(nn.Identity() for _ in range(3)))
    for layer in model:
        layer.weight = nn.Parameter(torch.ones(()))
    with pytest.raises(ValueError, match=r"fewer than two dimensions, '0' \(\)"):
        softshare.share(model, types=nn.Identity)


def test_layers_that_start_at_zero_stay_there_from_weights_alone():
    """What is said of the start: drawn as for a ReLU whatever the layer, or as the layers are."""
    model = nn.Sequential(*(nn.Linear(256, 256) for _ in range(4)))
    for layer in model:
        nn.init.zeros_(layer.weight)
    drawn, kept = copy.deepcopy(model), softshare.share(model, 2, types=nn.Linear, init="svd")
    assert not any(layer.weight.any() for layer in kept)
    (bank,) = softshare.banks(softshare.share(drawn, types=nn.Linear)).values()
    assert abs(bank.templates.std().item() / (2 / 256) ** 0.5 - 1) < 0.02
    assert abs(torch.stack(bank()).std().item() / (2 / 256) ** 0.5 - 1) < 0.02


class OwnForward(nn.Linear):
    def forward(self, x):
        return super().forward(x)


@pytest.mark.parametrize(
    ("kind", "threshold", "lower"),
    [
        (nn.Conv2d, None, True),
        (nn.Linear, None, True),
        (nn.Linear, 1.0, True),  # tied, and still mixed from templates
        (nn.Linear, 0.0, False),
        (nn.Embedding, None, False),
        (OwnForward, None, False),
    ],
)
def test_the_type_of_a_weight_that_is_read_under_autocast(kind, threshold, lower):
    torch.manual_seed(0)
    sizes = (4, 4, 1) if kind is nn.Conv2d else (4, 4)
    model = softshare.share(nn.Sequential(*(kind(*sizes) for _ in range(4))), 2, types=kind)
    if threshold is not None:
        softshare.tie(model, threshold)
    with torch.autocast("cpu", torch.bfloat16):
        read = model[1].weight
        with torch.autocast("cpu", enabled=False):
            full = model[1].weight
    assert read.dtype == (torch.bfloat16 if lower else torch.float32)
    assert full.dtype == model[1].weight.dtype == torch.float32
    if threshold is None:
        assert torch.equal(read, full.to(read.dtype))


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
