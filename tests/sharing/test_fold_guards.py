"""Blocks that look alike and are not, things that stand in two places: folding must never change the function."""

import copy

import pytest
import torch
from torch import nn

import softshare
import softshare.errors
from softshare.models.folded import load_folded, save_folded
from softshare.sharing.looped_blocks import LoopedBlocks

IMAGES = torch.randn(4, 8, 10, 10, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    def __init__(self, norm=None, act=None, **attributes):
        super().__init__()
        self.norm = norm or nn.BatchNorm2d(8)
        self.act = act or nn.ReLU()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.register_buffer("calls", torch.zeros(()))
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        self.calls = self.calls + 1
        factor = getattr(self, "_factor", 1.0) + getattr(self, "pair", (0.0,))[0]
        return x + factor * self.conv(self.act(self.norm(x)))


class Net(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        self.body = nn.Sequential(*blocks)

    def forward(self, x):
        return self.body(x)


def both(model):
    """The model tied, and folded; norms as after training."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2)
            module.running_mean.normal_()
    return softshare.tie(copy.deepcopy(model), 1.0), softshare.fold(model, 1.0)


def loops(model):
    return [module.passes for module in model.modules() if isinstance(module, LoopedBlocks)]


def compare(model, steps=2):
    tied, folded = both(model)
    assert sum(p.numel() for p in folded.parameters()) == sum(p.numel() for p in tied.parameters())
    for _ in range(steps):  # the second call tells what the first has left behind
        torch.testing.assert_close(folded(IMAGES), tied(IMAGES), rtol=1e-4, atol=1e-5)
    return tied, folded


def test_one_activation_that_stands_in_several_places():
    act = nn.ReLU()
    model = softshare.share(Net(Block(), act, Block(), act, Block(), act), 1).eval()
    _, folded = compare(model)
    assert len(folded.body._modules) == 6 and loops(folded) == []


def test_a_block_and_a_layer_that_stand_twice():
    block, conv = Block(), nn.Conv2d(8, 8, 3, padding=1)
    compare(softshare.share(Net(block, Block(), block, Block()), 1).eval())
    compare(softshare.share(Net(conv, nn.ReLU(), conv, nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)), 1).eval())


@pytest.mark.parametrize("shared", ["norm", "act"])
def test_modules_shared_between_blocks_stay_shared(shared):
    common = {"norm": nn.BatchNorm2d(8), "act": nn.PReLU(8)}[shared]
    model = softshare.share(Net(*(Block(**{shared: common}) for _ in range(3))), 1).eval()
    _, folded = compare(model)
    assert loops(folded) == []


def test_a_block_that_stands_elsewhere_too():
    model = Net(*(Block() for _ in range(4)))
    model.first = model.body[0]
    softshare.share(model, 1).eval()
    _, folded = compare(model)
    assert loops(folded) == [3] and folded.first is folded.body[0]


def test_a_layer_under_two_names_in_a_block():
    blocks = [Block() for _ in range(3)]
    for block in blocks:
        block.alias = block.norm
    compare(softshare.share(Net(*blocks), 1).eval())


@pytest.mark.parametrize(
    "attributes",
    [{"_factor": 0.5}, {"pair": (0.25, 1)}, {"pair": (torch.tensor(0.5),)}, {"pair": (0, 1)}],
    ids=["private", "tuple", "tensors", "equal"],
)
def test_blocks_that_differ_in_an_attribute(attributes):
    plain = {"pair": (0, 1)} if attributes == {"pair": (0, 1)} else {}
    model = softshare.share(Net(Block(**plain), Block(**plain), Block(**attributes)), 1).eval()
    _, folded = compare(model)
    assert loops(folded) == ([3] if plain else [2])


def test_norms_kept_in_eval_while_the_rest_trains():
    model = softshare.share(Net(*(Block() for _ in range(4))), 1).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    _, folded = compare(model)
    assert loops(folded) == [4]
    model.body[1].norm.train()
    _, folded = compare(model)
    assert loops(folded) == [2]


def test_hooks_of_one_block_are_not_those_of_all():
    model = softshare.share(Net(*(Block() for _ in range(4))), 1).eval()
    model.body[1].register_forward_hook(lambda module, inputs, output: 2 * output)
    model.body[2].register_forward_hook(lambda module, inputs, output: 3 * output)
    _, folded = compare(model)
    assert loops(folded) == []


def test_buffers_that_a_forward_assigns_anew():
    tied, folded = compare(softshare.share(Net(*(Block() for _ in range(3))), 1).eval(), steps=3)
    assert loops(folded) == [3]
    (loop,) = (module for module in folded.modules() if isinstance(module, LoopedBlocks))
    assert loop.body.calls.tolist() == [3, 3, 3] == [block.calls.item() for block in tied.body]


def test_a_model_that_walks_through_its_blocks_is_found_out_by_an_example():
    class Walks(Net):
        def forward(self, x):
            out = torch.zeros_like(x)
            for block in self.body:
                x = block(x)
                out = out + x
            return out

    class Picks(Net):
        def forward(self, x):
            return self.body[2](self.body[0](x))

    for kind in (Walks, Picks):
        model = softshare.share(kind(*(Block() for _ in range(3))), 1).eval()
        with pytest.raises(ValueError, match="does not run its blocks one after the other"):
            softshare.fold(model, 1.0, example=IMAGES)
    model = softshare.share(Net(*(Block() for _ in range(3))), 1).train()
    folded = softshare.fold(model, 1.0, example=(IMAGES,))
    assert loops(folded) == [3] and folded.training and folded.body[0].body.calls.tolist() == [0, 0, 0]


def test_what_is_tied_without_a_loop_says_so():
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(Block() for _ in range(3))

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    folded = softshare.fold(softshare.share(Listed(), 1), 1.0)
    assert folded.folding.looped == () and str(folded.folding).startswith("blocks: (a) x 3 (tied, no loop made)")
    folded = softshare.fold(softshare.share(Net(*(Block() for _ in range(3))), 1), 1.0)
    assert folded.folding.looped == ("body",) and "no loop" not in str(folded.folding)


def test_autocast_changes_no_similarity():
    torch.manual_seed(0)
    model = softshare.create_model("swrn-22-1-2")
    with torch.autocast("cpu", torch.bfloat16):
        inside = softshare.layer_similarity(model), softshare.recurrence_penalty(model)
    outside = softshare.layer_similarity(model), softshare.recurrence_penalty(model)
    assert all(torch.equal(inside[0][group], outside[0][group]) for group in outside[0])
    assert torch.equal(inside[1], outside[1])


def test_a_file_keeps_what_the_network_was_made_with(tmp_path):
    file = tmp_path / "folded.safetensors"
    grids = torch.rand(2, 2, 8, 8)
    folded = softshare.fold(softshare.create_model("scnn-6-2", skip="before-relu").eval(), 0.5)
    with pytest.raises(softshare.errors.UserError, match="makes another network"):
        save_folded(folded, file, "scnn-6-2")
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
        {"dtype": "int8"},
        {"ties": None},
    ],
    ids=str,
)
def test_a_file_with_a_broken_description_is_one_line(tmp_path, change):
    import json

    from safetensors.torch import safe_open, save_file

    file = tmp_path / "folded.safetensors"
    save_folded(softshare.fold(softshare.create_model("swrn-22-1-2"), 0.5), file, "swrn-22-1-2")
    with safe_open(file, framework="pt") as stored:
        state = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
        description = json.loads(stored.metadata()["softshare"]) | change
    save_file(state, file, metadata={"softshare": json.dumps(description)})
    with pytest.raises(softshare.errors.UserError, match="does not fit"):
        load_folded(file)
