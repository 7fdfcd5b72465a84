"""A folded network as a file: what comes back is what was written."""

import json

import pytest
import torch
from safetensors.torch import safe_open, save_file
from torch import nn

import softshare
import softshare.errors
from softshare.models.folded import load_folded, save_folded
from softshare.sharing.looped_blocks import LoopedBlocks

IMAGES = torch.randn(4, 8, 10, 10, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(8)
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.register_buffer("factor", torch.ones(1), persistent=False)

    def forward(self, x):
        return x + self.factor * self.conv(torch.relu(self.norm(x)))


class Net(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        self.body = nn.Sequential(*blocks)

    def forward(self, x):
        return self.body(x)


def made():
    torch.manual_seed(0)
    return softshare.share(Net(*(Block() for _ in range(5))), 1).eval()


def loops(model):
    return [module.passes for module in model.modules() if isinstance(module, LoopedBlocks)]


def returned(folded, file):
    save_folded(folded, file)
    loaded = load_folded(file, made())
    assert str(loaded) == str(folded.eval())
    assert [p.requires_grad for p in loaded.parameters()] == [p.requires_grad for p in folded.parameters()]
    return loaded


def test_each_tensor_comes_back_in_its_own_type(tmp_path):
    model = made().half()
    for block in model.body:
        block.norm.float().running_var.fill_(1e6)  # beyond what half can hold
    folded = softshare.fold(model, 1.0)
    loaded = returned(folded, tmp_path / "folded.safetensors")
    for (name, one), other in zip(folded.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other), name
    assert [buffer.dtype for buffer in loaded.buffers()] == [buffer.dtype for buffer in folded.buffers()]
    assert loaded.body[0].body.factor.dtype == torch.float16  # which no file holds


def frozen_norm(model):
    model.body[1].norm.requires_grad_(False)


def mode_of_its_own(model):
    model.train().body[1].eval()


def listened_to(model):
    model.body[1].register_forward_hook(lambda *_: None)


def frozen_whole(model):
    model.requires_grad_(False)


@pytest.mark.parametrize(
    ("change", "passes"), [(frozen_norm, [3]), (mode_of_its_own, [3]), (listened_to, [3]), (frozen_whole, [5])]
)
def test_loops_come_back_though_a_fresh_network_s_blocks_are_all_alike(change, passes, tmp_path):
    model = made()
    change(model)
    folded = softshare.fold(model, 1.0)
    assert loops(folded) == passes
    loaded = returned(folded, tmp_path / "folded.safetensors")
    torch.testing.assert_close(loaded(IMAGES), folded.eval()(IMAGES))


def test_a_file_keeps_what_the_network_was_made_with(tmp_path):
    file = tmp_path / "folded.safetensors"
    grids = torch.rand(2, 2, 8, 8)
    folded = softshare.fold(softshare.create_model("scnn-6-2", skip="before-relu").eval(), 0.5)
    for other in ("scnn-6-2", "scnn-8-2", "swrn-22-1-2"):
        with pytest.raises(softshare.errors.UserError, match="makes another network"):
            save_folded(folded, file, other)
    assert not file.exists()
    save_folded(folded, str(file), "scnn-6-2", skip="before-relu")
    torch.testing.assert_close(load_folded(str(file))(grids), folded(grids))
    half = softshare.fold(softshare.create_model("swrn-22-1-2", 7, 0.3), 0.5).double().eval()
    save_folded(half, file, "swrn-22-1-2", num_classes=7, dropout=0.3)
    loaded = load_folded(file)
    assert str(loaded) == str(half) and next(loaded.parameters()).dtype == torch.float64
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(loaded(images), half(images))


def test_parts_shared_one_by_one_are_saved_and_loaded(tmp_path):
    def made():
        model = nn.Sequential(Net(*(Block() for _ in range(3))), Net(*(Block() for _ in range(3))))
        for part in model:
            softshare.share(part, 1)
        return model.eval()

    folded = softshare.fold(made(), 1.0)
    assert loops(folded) == [3, 3] and len(softshare.banks(folded)) == 2
    save_folded(folded, tmp_path / "folded.safetensors")
    loaded = load_folded(tmp_path / "folded.safetensors", made())
    torch.testing.assert_close(loaded(IMAGES), folded(IMAGES))


@pytest.mark.parametrize(
    "change",
    [
        {"ties": [{"clusters": [0, 0], "lenders": [5]}] * 3},
        {"ties": [{"clusters": [0, 0, 0, 0], "lenders": [0]}] * 2},
        {"ties": "none"},
        {"model": "swrn-22-1-9"},
        {"settings": {"num_classes": "ten"}},
        {"settings": {"width": 3}},
        {"ties": None},
        {"loops": {"stage1": 2}, "frozen": []},
        {"loops": {"stage1.1": "two"}},
        {"loops": {"stage1.1": -1}},
        {"loops": ["stage1.1"]},
        {"frozen": 3},
    ],
    ids=str,
)
def test_a_file_with_a_broken_description_is_one_line(tmp_path, change):
    file = tmp_path / "folded.safetensors"
    save_folded(softshare.fold(softshare.create_model("swrn-22-1-2"), 0.5), file, "swrn-22-1-2")
    described(file, lambda description: description | change)
    with pytest.raises(softshare.errors.UserError, match="does not fit"):
        load_folded(file)


def test_a_file_of_before_says_so(tmp_path):
    file = tmp_path / "folded.safetensors"
    save_folded(softshare.fold(softshare.create_model("swrn-22-1-2"), 0.5), file, "swrn-22-1-2")
    described(file, lambda description: {key: value for key, value in description.items() if key != "loops"})
    with pytest.raises(
        softshare.errors.UserError, match=r"by an earlier version \(tells no 'loops'\); fold the network"
    ):
        load_folded(file)


def described(file, change):
    """Writes a file anew with another description."""
    with safe_open(file, framework="pt") as stored:
        state = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
        description = change(json.loads(stored.metadata()["softshare"]))
    save_file(state, file, metadata={"softshare": json.dumps(description)})
