"""A folded network leaves PyTorch: captured by torch.export and as ONNX it gives the same outputs."""

import numpy as np
import pytest
import torch

import softshare


def _trained_alike(name, seed=0):
    """A network whose layers are alike in twos, with norms as after training."""
    torch.manual_seed(seed)
    model = softshare.create_model(name)
    with torch.no_grad():
        for bank in softshare.banks(model).values():
            rows = torch.randn(2, bank.num_templates).repeat(bank.num_layers // 2, 1)
            bank.coefficients.copy_(rows * torch.randn(bank.num_layers, 1))
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize("name", ["swrn-22-1-3"])
def test_exported_program_gives_the_same(name):
    folded = softshare.fold(_trained_alike(name), 0.9)
    images = torch.randn(2, 3, 16, 16)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(folded, (images,), dynamic_shapes=({0: batch},))
    for size in (1, 2, 5):
        images = torch.randn(size, 3, 16, 16)
        torch.testing.assert_close(program.module()(images), folded(images), rtol=1e-4, atol=1e-5)
    # The program keeps each weight once as well.
    assert sum(p.numel() for p in program.parameters()) == sum(p.numel() for p in folded.parameters())


@pytest.mark.slow
def test_onnx_gives_the_same_and_keeps_each_weight_once(tmp_path):
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    model = _trained_alike("swrn-28-4-4")
    folded = softshare.fold(model, 0.9)
    images = torch.randn(2, 3, 32, 32)
    file = tmp_path / "folded.onnx"
    torch.onnx.export(folded, (images,), file, dynamo=True, external_data=False, verbose=False)
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (outputs,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    np.testing.assert_allclose(outputs, folded(images).detach().numpy(), rtol=1e-3, atol=1e-4)
    kept = sum(np.prod(tensor.dims, dtype=int) for tensor in onnx.load(file).graph.initializer)
    assert kept < sum(p.numel() for p in folded.parameters()) * 1.05 + 20_000
    assert kept < 0.75 * sum(p.numel() for p in model.parameters())


def test_compiled_it_gives_the_same():
    folded = softshare.fold(_trained_alike("swrn-22-1-2"), 0.9)
    images = torch.randn(2, 3, 16, 16)
    compiled = torch.compile(folded, backend="aot_eager")
    torch.testing.assert_close(compiled(images), folded(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("fold", [False, True])
def test_an_exported_program_is_saved_and_loaded(tmp_path, fold, strict):
    model = _trained_alike("swrn-22-1-3")
    model = softshare.fold(model, 0.9) if fold else model
    images = torch.randn(2, 3, 16, 16)
    torch.export.save(torch.export.export(model, (images,), strict=strict), tmp_path / "model.pt2")
    loaded = torch.export.load(tmp_path / "model.pt2")
    torch.testing.assert_close(loaded.module()(images), model(images), rtol=1e-4, atol=1e-5)


def test_what_was_compiled_without_autocast_keeps_full_precision_under_it():
    torch.manual_seed(0)
    bank = softshare.TemplateBank(3, 2, (8, 8))
    compiled = torch.compile(lambda: bank.weight(1), backend="eager")
    expected = bank.weight(1)
    torch.testing.assert_close(compiled(), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(compiled(), expected)
