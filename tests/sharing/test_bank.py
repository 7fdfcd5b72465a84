"""The bank against a naive sum per layer: values, gradients, caching, layout, precision."""

import copy
import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from softshare.sharing import INITIALISATIONS, TemplateBank, native
from softshare.sharing import synthesis as synthesis_module
from softshare.sharing.initialise import he_normal_, initial_coefficients


def naive(bank, layer):
    return sum(bank.coefficients[layer, j] * bank.templates[j] for j in range(bank.num_templates))


shapes = st.sampled_from([(4, 3, 3, 3), (5, 2, 1, 1), (3, 7), (6,), (2, 3, 5), (2, 2, 3, 3, 3), (4, 1, 3, 3)])


@st.composite
def made_banks(draw):
    layers = draw(st.integers(2, 7))
    templates = draw(st.integers(1, layers))
    torch.manual_seed(draw(st.integers(0, 100)))
    bank = TemplateBank(layers, templates, draw(shapes), dtype=torch.float64)
    if bank.template_stack.dim() == 4 and draw(st.booleans()):
        bank.to(memory_format=torch.channels_last)
    return bank


@pytest.mark.parametrize("shape", [(16, 3, 3, 3), (64, 32, 1, 1), (10, 640), (6,)])
def test_fan_in_he_is_torch_s_normal_to_the_bit(shape):
    """Networks start from it, and a run's first weights follow from its seed alone."""
    torch.manual_seed(0)
    ours = he_normal_(torch.empty(shape))
    torch.manual_seed(0)
    assert torch.equal(ours, nn.init.normal_(torch.empty(shape), std=math.sqrt(2.0 / math.prod(shape[1:]))))


@given(made_banks(), st.data())
def test_weights_and_gradients_equal_the_sum_per_layer(bank, data):
    used = data.draw(st.sets(st.integers(0, bank.num_layers - 1), min_size=1))
    targets = {layer: torch.randn(bank.weight_shape, dtype=torch.float64) for layer in used}

    def gradients(weight_of):
        loss = sum((weight_of(layer) * target).sum() ** 2 for layer, target in targets.items())
        return torch.autograd.grad(loss, [bank.coefficients, bank.template_stack])

    for layer in used:
        assert bank.weight(layer).shape == bank.weight_shape
        torch.testing.assert_close(bank.weight(layer), naive(bank, layer))
    for ours, theirs in zip(gradients(bank.weight), gradients(lambda i: naive(bank, i)), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_blocks_and_compiled_code_change_nothing(monkeypatch, dtype, channels_last, compiled):
    monkeypatch.setattr(synthesis_module, "BLOCK", 50)
    if compiled and native.library() is None:
        pytest.skip("no C compiler here")
    monkeypatch.setattr(native, "_SHARE", 256 if compiled else 1 << 60)
    torch.manual_seed(0)
    bank = TemplateBank(5, 3, (16, 8, 3, 3))
    if channels_last:
        bank.to(memory_format=torch.channels_last)
    rows = synthesis_module.in_memory_order(bank.template_stack, 3)
    blocked = synthesis_module.synthesise(bank.coefficients.detach(), rows.detach(), dtype)
    torch.testing.assert_close(blocked, (bank.coefficients @ rows).to(dtype).detach())
    gradients = [torch.randn(rows.shape[1], dtype=dtype) if i != 2 else None for i in range(5)]
    ours = synthesis_module.synthesis_gradients(bank.coefficients.detach(), rows.detach(), gradients)
    stacked = torch.stack([torch.zeros(rows.shape[1]) if g is None else g.float() for g in gradients])
    torch.testing.assert_close(ours[0], (stacked @ rows.t()).detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours[1], (bank.coefficients.t() @ stacked).detach(), rtol=1e-4, atol=1e-4)


@given(st.integers(1, 9), st.data(), st.sampled_from([torch.float32, torch.bfloat16]))
def test_compiled_product_for_every_size(layers, data, dtype):
    if native.library() is None:
        pytest.skip("no C compiler here")
    count = data.draw(st.integers(1, layers))
    size = data.draw(st.integers(1, 3000))
    in_parts = data.draw(st.integers(1, 4))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    coefficients = torch.randn(layers, count, generator=generator)
    templates = torch.randn(count, size, generator=generator)
    expected = coefficients.double() @ templates.double()
    rtol, atol = (1e-5, 1e-5) if dtype == torch.float32 else (1e-2, 1e-2)
    rows = [torch.randn(size, generator=generator).to(dtype) for _ in range(layers)]
    stacked = torch.stack(rows).double()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "_SHARE", 128)
        patch.setattr(torch, "get_num_threads", lambda: in_parts)
        made = native.weights(coefficients, templates, dtype)
        for_coefficients, for_templates = native.gradients(coefficients, templates, rows)
    torch.testing.assert_close(made.double(), expected, rtol=rtol, atol=atol)
    torch.testing.assert_close(for_coefficients.double(), stacked @ templates.double().t(), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(for_templates.double(), coefficients.double().t() @ stacked, rtol=1e-4, atol=1e-4)


def test_compiled_rounding_to_bf16_is_that_of_torch():
    if native.library() is None:
        pytest.skip("no C compiler here")
    special = torch.tensor([0.0, -0.0, 1.0, float("inf"), -float("inf"), float("nan"), 1e-40, 3.3895e38, 1.00390625])
    values = torch.cat([special, torch.randn(5000, generator=torch.Generator().manual_seed(0))])
    ours = native.weights(torch.ones(1, 1), values[None], torch.bfloat16)[0]
    assert torch.equal(ours.isnan(), values.isnan())
    finite = ~values.isnan()
    assert torch.equal(ours[finite], values.bfloat16()[finite])


def test_without_a_compiler_torch_does_it(monkeypatch):
    monkeypatch.setenv("SOFTSHARE_NATIVE", "0")
    native.library.cache_clear()
    try:
        assert native.library() is None
        assert not native.serves(torch.zeros(4, 4), torch.zeros(4, 1 << 20), torch.float32)
    finally:
        native.library.cache_clear()


def test_memory_is_given_back_before_the_gradients_are_made():
    bank = TemplateBank(3, 2, (4, 4))
    loss = sum(weight.sum() for weight in bank())
    (kept,) = bank._kept.values()
    assert kept.values is not None
    loss.backward()
    assert kept.values is None and kept.weights is None


def test_second_derivatives():
    torch.manual_seed(0)
    bank = TemplateBank(3, 2, (2, 2), dtype=torch.float64)

    def weights(coefficients, stack):
        values = (coefficients @ stack.reshape(2, -1)).detach()
        made = synthesis_module.Synthesis(None, values)
        return synthesis_module.AttachSynthesis.apply(coefficients, stack, made, (2, 2))

    inputs = (bank.coefficients, bank.template_stack)
    assert torch.autograd.gradcheck(weights, inputs)
    assert torch.autograd.gradgradcheck(weights, inputs)


def count_syntheses(monkeypatch, bank):
    calls = []
    original = bank._synthesise
    monkeypatch.setattr(bank, "_synthesise", lambda dtype: calls.append(dtype) or original(dtype))
    return calls


def test_one_synthesis_a_forward_and_none_while_nothing_changes(monkeypatch):
    bank = TemplateBank(6, 4, (4, 4, 3, 3))
    calls = count_syntheses(monkeypatch, bank)
    bank.eval()
    for _ in range(3):
        bank()
    with torch.no_grad():
        bank()
    assert len(calls) == 1
    with torch.no_grad():
        bank.coefficients.mul_(2.0)
    bank()
    assert len(calls) == 2
    bank.train()
    for _ in range(2):
        sum(weight.sum() for weight in bank()).backward()
    assert len(calls) == 4


def test_reading_a_kept_weight_makes_no_new_tensor():
    bank = TemplateBank(3, 2, (4, 4)).eval()
    with torch.no_grad():
        first = bank()
        assert all(again is weight for again, weight in zip(bank(), first, strict=True))
        bank.coefficients.mul_(2.0)
        assert not torch.equal(bank.weight(0), first[0])


def test_weights_on_the_meta_device_have_their_shape():
    bank = TemplateBank(3, 2, (4, 4), device="meta")
    for autocasts in (False, True):
        assert bank.weight(1, autocasts=autocasts).is_meta
    assert bank.weight(1).shape == (4, 4)


@pytest.mark.parametrize(
    "change",
    [
        lambda bank: bank.load_state_dict({k: v + 1 for k, v in bank.state_dict().items()}),
        lambda bank: bank.double(),
        lambda bank: torch.optim.SGD(bank.parameters(), lr=1.0, fused=True).step(),
        lambda bank: setattr(bank.coefficients, "data", bank.coefficients.data * 3),
        lambda bank: (bank.coefficients.data.mul_(3), bank.eval()),
        lambda bank: (bank.coefficients.data.mul_(3), bank.forget()),
    ],
    ids=["load", "dtype", "step", "swap", "data-then-eval", "forget"],
)
def test_kept_weights_follow_every_change(change):
    torch.manual_seed(0)
    bank = TemplateBank(4, 2, (3, 3)).eval()
    sum(weight.sum() for weight in bank()).backward()
    with torch.no_grad():
        bank()
        change(bank)
        torch.testing.assert_close(bank.weight(1), naive(bank, 1))


def test_an_optimiser_that_writes_through_data_is_seen_after_each_backward():
    torch.manual_seed(0)
    bank = TemplateBank(3, 2, (2, 2))
    for _ in range(3):
        weight = bank.weight(0)
        torch.testing.assert_close(weight, naive(bank, 0))
        weight.sum().backward()
        bank.coefficients.data.add_(1.0)


def test_two_forwards_before_one_backward_and_a_backward_each():
    torch.manual_seed(0)
    bank = TemplateBank(3, 2, (2, 2), dtype=torch.float64)
    first, second = bank.weight(0).square().sum(), bank.weight(1).square().sum()
    first.backward()
    second.backward()
    summed = [parameter.grad.clone() for parameter in bank.parameters()]
    bank.zero_grad()
    (naive(bank, 0).square().sum() + naive(bank, 1).square().sum()).backward()
    for ours, parameter in zip(summed, bank.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad)


def test_a_step_between_forward_and_backward_is_refused():
    bank = TemplateBank(3, 2, (2, 2))
    loss = bank.weight(0).sum()
    with torch.no_grad():
        bank.template_stack.add_(1.0)
    with pytest.raises(RuntimeError, match="modified in place"):
        loss.backward()


def test_weights_made_in_inference_mode_do_not_leak_into_training():
    bank = TemplateBank(3, 2, (2, 2))
    with torch.inference_mode():
        bank()
    sum(weight.square().sum() for weight in bank()).backward()
    assert bank.coefficients.grad is not None


def test_autocast_gives_the_same_weight_as_casting_it():
    torch.manual_seed(0)
    bank = TemplateBank(3, 2, (8, 8, 3, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low, full = bank.weight(1, autocasts=True), bank.weight(1)
    assert low.dtype == torch.bfloat16 and full.dtype == torch.float32
    torch.testing.assert_close(low, naive(bank, 1).bfloat16(), rtol=0, atol=0)
    torch.testing.assert_close(full, naive(bank, 1))


def test_a_backward_under_autocast_keeps_full_precision():
    torch.manual_seed(0)
    bank = TemplateBank(3, 2, (8, 8), dtype=torch.float32)
    target = torch.randn(8, 8)
    (expected,) = torch.autograd.grad((naive(bank, 1) * target).sum(), [bank.coefficients])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (ours,) = torch.autograd.grad((bank.weight(1) * target).sum(), [bank.coefficients])
    torch.testing.assert_close(ours, expected)


def test_channels_last_needs_no_five_dimensions_and_reaches_the_weights():
    bank = TemplateBank(3, 2, (8, 4, 3, 3)).to(memory_format=torch.channels_last)
    assert bank.template_stack.is_contiguous(memory_format=torch.channels_last)
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in bank())
    assert bank.templates.shape == (2, 8, 4, 3, 3)


def test_copies_and_pickles_after_a_forward():
    bank = TemplateBank(3, 2, (2, 2))
    bank()
    for copied in (copy.deepcopy(bank), pickle.loads(pickle.dumps(bank))):
        assert torch.equal(copied.weight(2), bank.weight(2))
        with torch.no_grad():
            copied.coefficients.add_(1)
        assert not torch.equal(copied.weight(2), bank.weight(2))


@pytest.mark.parametrize(
    ("layers", "templates", "shape", "init", "said"),
    [
        (3, 0, (2, 2), "orthogonal", "at least one"),
        (3, 4, (2, 2), "orthogonal", "more than the 3 layers"),
        (3, 2, (2, 2), "identity", "one template per layer"),
        (3, 2, (2, 2), "nonsense", "unknown initialisation 'nonsense'"),
        (3, 2, (), "orthogonal", "shape"),
    ],
)
def test_refuses_what_cannot_be(layers, templates, shape, init, said):
    with pytest.raises(ValueError, match=said):
        TemplateBank(layers, templates, shape, init)


@given(st.integers(2, 12), st.data())
def test_orthogonal_start_has_orthonormal_columns(layers, data):
    templates = data.draw(st.integers(1, layers))
    matrix = initial_coefficients(layers, templates)
    torch.testing.assert_close(matrix.t() @ matrix, torch.eye(templates), rtol=1e-5, atol=1e-5)


@given(st.integers(2, 12), st.data())
def test_sparse_start_zeroes_half_of_each_row(layers, data):
    templates = data.draw(st.integers(1, layers))
    zeros = (initial_coefficients(layers, templates, "sparse") == 0).sum(dim=1)
    assert (zeros == templates // 2).all()


@pytest.mark.parametrize("scheme", INITIALISATIONS)
def test_starts_have_columns_of_norm_one_on_average(scheme):
    torch.manual_seed(0)
    squares = torch.stack([initial_coefficients(10, 10, scheme).square().sum(dim=0).mean() for _ in range(400)])
    assert squares.mean() == pytest.approx(1.0, abs=0.03)


def test_templates_start_with_fan_in_he_variance():
    torch.manual_seed(0)
    bank = TemplateBank(3, 2, (64, 32, 3, 3))
    assert bank.templates.var().item() == pytest.approx(2 / (32 * 9), rel=0.03)


def test_a_module_of_as_many_parameters_as_its_parts():
    bank = TemplateBank(6, 2, (4, 4, 3, 3))
    assert sum(p.numel() for p in bank.parameters()) == 2 * 144 + 12
    assert isinstance(bank, nn.Module) and "layers=6, templates=2" in repr(bank)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("init", ["orthogonal", "sparse", "normal", "uniform", "identity"])
def test_a_bank_is_drawn_where_the_default_type_is_another(dtype, init):
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        bank = TemplateBank(4, 4 if init == "identity" else 2, (3, 3, 3, 3), init)
    finally:
        torch.set_default_dtype(usual)
    assert bank.coefficients.dtype == bank.template_stack.dtype == dtype
    if init == "orthogonal":
        drawn = bank.coefficients.detach().double()
        assert torch.allclose(drawn.T @ drawn, torch.eye(2, dtype=torch.double), atol=0.02)
