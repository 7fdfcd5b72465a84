"""Wrappers: those that would go on with a model's old parameters are refused, and none is saved for the model."""

import copy

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

import softshare
from softshare.errors import UserError


def plain():
    torch.manual_seed(0)
    return nn.Sequential(*[nn.Linear(4, 4) for _ in range(4)])


def shared():
    return softshare.share(plain(), 1, types=nn.Linear)


@pytest.fixture
def in_ddp(tmp_path):
    """Wraps models in DDP, of one process."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield DistributedDataParallel
    distributed.destroy_process_group()


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize(
    ("make", "call"),
    [
        (plain, lambda model: softshare.share(model, 1, types=nn.Linear)),
        (shared, lambda model: softshare.tie(model, 0.9)),
        (shared, lambda model: softshare.fold(model, 0.9)),
        (shared, softshare.unshare),
    ],
)
def test_a_model_in_ddp_is_refused_and_left_as_it_is(in_ddp, make, call, within):
    model = in_ddp(make())
    whole = nn.ModuleDict({"net": model}) if within else model
    before = {name: id(parameter) for name, parameter in model.named_parameters()}
    where = r"the model's net\.module" if within else r"its \.module"
    with pytest.raises(ValueError, match=f"would not average new ones over processes; pass {where}"):
        call(whole)
    assert {name: id(parameter) for name, parameter in model.named_parameters()} == before
    call(copy.deepcopy(model.module))


def test_a_wrapped_network_is_not_saved_under_the_wrapper_s_names(tmp_path, in_ddp):
    folded = softshare.fold(shared(), 0.9)
    file = tmp_path / "folded.safetensors"
    for wrapped, inner in (
        (softshare.fold(torch.compile(shared(), backend="eager"), 0.9), "_orig_mod"),
        (softshare.fold(AveragedModel(shared()), 0.9), "module"),
    ):
        with pytest.raises(UserError, match=rf"its names would be saved with it; save its \.{inner}"):
            softshare.save_folded(wrapped, file)
    wrapped = in_ddp(folded)
    wrapped.folding = folded.folding
    with pytest.raises(UserError, match=r"save its \.module"):
        softshare.save_folded(wrapped, file)
    assert not file.exists()
    softshare.save_folded(folded, file)
    inputs = torch.randn(2, 4)
    torch.testing.assert_close(softshare.load_folded(file, shared())(inputs), folded(inputs))


def test_a_model_of_one_part_is_no_wrapper(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = plain()

        def forward(self, x):
            return self.module(x)

    folded = softshare.fold(softshare.share(Net(), 1, types=nn.Linear), 0.9)
    softshare.save_folded(folded, tmp_path / "folded.safetensors")


@pytest.mark.parametrize("value", [nn.Parameter(torch.zeros(4, 4)), torch.zeros(4, 4), None])
def test_a_weight_cannot_be_assigned_in_any_way(value):
    model = shared()
    with pytest.raises(AttributeError, match=r"mixed from its bank; change the bank's parameters .* `unshare"):
        model[0].weight = value
    with pytest.raises(AttributeError, match="mixed from its bank"):
        model[0].register_parameter("weight", nn.Parameter(torch.zeros(4, 4)))
    model[0].bias = nn.Parameter(torch.ones(4))  # its own stays its own
    assert model[0].bias.sum() == 4 and model(torch.ones(1, 4)).shape == (1, 4)
