"""Blocks that look alike and are not, things that stand in two places: folding must never change the function."""

import copy

import pytest
import torch
from torch import nn

import softshare
import softshare.errors
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
    assert folded.folding.looped == ()
    said = "no two blocks that share a weight stand in one nn.Sequential that is called as a whole"
    assert str(folded.folding).startswith(f"blocks: (a) x 3 (tied, no loop made: {said})\n")
    folded = softshare.fold(softshare.share(Net(*(Block() for _ in range(3))), 1), 1.0)
    assert folded.folding.looped == ("body",) and "no loop" not in str(folded.folding)


def _hooked():
    block = Block()
    block.act.register_forward_hook(lambda module, inputs, output: output)
    return block


COMMON = nn.ReLU()
ODD = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU())


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        (lambda: (Block(rate=0.02), Block(rate=0.04)), "body.0 and body.1 differ in rate (0.02 and 0.04)"),
        (
            lambda: (Block(act=nn.Dropout(0.1)), Block(act=nn.Dropout(0.2))),
            "body.0 and body.1 differ in act.p (0.1 and 0.2)",
        ),
        (lambda: (Block(act=nn.Identity()), Block()), "body.0 and body.1 differ in act (Identity and ReLU)"),
        (lambda: (Block(rate=0.1), Block()), "body.0 and body.1 differ in rate"),
        (lambda: (Block(more=nn.Identity()), Block()), "body.0 and body.1 differ in more, which one of them lacks"),
        (
            lambda: (Block(nn.BatchNorm2d(8).requires_grad_(False)), Block()),
            "body.0 and body.1 differ in norm.weight (frozen and learning), and 1 more",
        ),
        (
            lambda: (Block(act=nn.AvgPool2d((3, 3), 1, (1, 1))), Block(act=nn.AvgPool2d((1, 1), 1, (0, 0)))),
            "body.0 and body.1 differ in act.kernel_size ([3, 3] and [1, 1]), and 1 more",
        ),
        (lambda: (Block(rate=print), Block(rate=len)), "body.0 and body.1 differ in rate"),
        (
            lambda: (Block(rate=1, of=1), Block(rate=2, of=2), Block(rate=3, of=2)),
            "body.1 and body.2 differ in rate (2 and 3)",
        ),
        (lambda: (_hooked(), Block()), "body.0 and body.1 differ in the hooks or the group of act"),
        (lambda: (Block(), ODD, Block()), "between body.0 and body.2 lies a block of another structure"),
        (
            lambda: (Block(act=COMMON), Block(act=COMMON)),
            "body.0 or body.1, or something in them, stands elsewhere in the model too",
        ),
    ],
)
def test_why_a_stage_has_no_loop_is_told(blocks, said):
    folded = softshare.fold(softshare.share(Net(*blocks()), 1, lambda name, _: "one"), 1.0)
    assert loops(folded) == [] and folded.folding.looped == ()
    assert list(folded.folding.unlooped.values()) == [said] and f"(tied, no loop made: {said})" in str(folded.folding)


def test_of_stages_with_loops_and_of_layers_that_are_not_tied_nothing_is_told():
    torch.manual_seed(0)
    stages = [Net(Block(), Block()), Net(Block(rate=1), Block(rate=2)), Net(Block(rate=1), Block(rate=2))]
    model = nn.Sequential(*(stage.body for stage in stages))
    softshare.share(model, 2, lambda name, module: name.split(".")[0])
    with torch.no_grad():
        for group, bank in softshare.banks(model).items():
            bank.coefficients.copy_(torch.eye(2) if group == "2" else torch.ones(2, 2))
    found = softshare.find_folding(model, 0.9)
    assert found.unlooped == {} and "no loop" not in str(found)
    folding = softshare.fold(model, 0.9).folding
    assert folding.looped == ("0",) and list(folding.unlooped) == ["1"]


@pytest.mark.parametrize("threshold", [None, 0.9, 0.0])
def test_autocast_changes_no_similarity(threshold):
    """Of soft banks, of tied ones that are still mixed from templates, and of those that are not."""
    torch.manual_seed(0)
    model = softshare.create_model("swrn-22-1-2")
    if threshold is not None:
        softshare.tie(model, threshold)
        assert any(bank.mixed is not None for bank in softshare.banks(model).values()) == (threshold > 0)
    with torch.autocast("cpu", torch.bfloat16):
        inside = softshare.layer_similarity(model), softshare.recurrence_penalty(model)
    outside = softshare.layer_similarity(model), softshare.recurrence_penalty(model)
    assert all(torch.equal(inside[0][group], outside[0][group]) for group in outside[0])
    assert torch.equal(inside[1], outside[1])


class MaskedBlock(Block):
    def forward(self, x, mask):
        return super().forward(x * mask)


class Masked(Net):
    """Gives its blocks more than the last one's output."""

    def forward(self, x):
        for block in self.body:
            x = block(x, 0.5)
        return x


class Reading(Net):
    """Reads a layer of a block."""

    def forward(self, x):
        return self.body(x) + self.body[0].conv.bias.sum()


class Remembering(nn.Module):
    """A block that keeps its last output, neither as a parameter nor as a buffer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.last = None

    def forward(self, x):
        x = self.conv(x)
        self.last = x if self.last is None else 0.5 * self.last + x
        return self.last


@pytest.mark.parametrize(("net", "block"), [(Masked, MaskedBlock), (Reading, Block), (Net, Remembering)])
def test_an_example_shows_what_loops_cannot_run(net, block):
    model = softshare.share(net(block(), block(), block()), 1)
    assert loops(softshare.fold(model, 1.0)) == [3]
    with pytest.raises(ValueError, match=r"does not run its blocks .* or a block keeps something .* tie\(\) it"):
        softshare.fold(model, 1.0, example=IMAGES)


def test_a_model_with_a_folding_of_its_own_is_tied_and_told_why_it_cannot_be_folded():
    model = Net(Block(), Block())
    model.folding = nn.Conv2d(8, 8, 1)
    softshare.share(model, 1)
    assert softshare.find_folding(model).distinct_layers == 2
    with pytest.raises(ValueError, match="Net has an attribute `folding`"):
        softshare.fold(model)
    softshare.tie(model)
