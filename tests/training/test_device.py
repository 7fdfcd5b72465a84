"""What is computed where, and in what."""

import pytest
import torch

from softshare.errors import UserError
from softshare.training import device
from softshare.training.device import autocast, bf16_agrees, resolve_precision, use_precision
from softshare.training.run import prepare

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("capability", "precision"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16"), ((6, 1), "fp32")]
)
def test_auto_takes_what_a_gpu_multiplies_in(monkeypatch, capability, precision):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert resolve_precision("auto", GPU) == precision


@pytest.mark.parametrize("agrees", [True, False])
def test_auto_takes_bf16_on_a_cpu_only_where_it_is_right(monkeypatch, agrees):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    monkeypatch.setattr(device, "bf16_agrees", lambda: agrees)
    assert resolve_precision("auto", CPU) == ("bf16" if agrees else "fp32")


def test_bf16_here_agrees_with_fp32_and_a_wrong_one_is_seen(monkeypatch):
    assert bf16_agrees()
    bf16_agrees.cache_clear()
    convolution = torch.nn.functional.conv2d

    def wrong(images, weight, padding):
        output = convolution(images, weight, padding=padding)
        return output * 1.05 if output.dtype == torch.bfloat16 else output

    monkeypatch.setattr(torch.nn.functional, "conv2d", wrong)
    assert not bf16_agrees()
    bf16_agrees.cache_clear()


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_what_a_cpu_does_not_have_is_refused(precision):
    with pytest.raises(UserError, match=f"precision: '{precision}': is not for a cpu; auto, fp32 or bf16"):
        resolve_precision(precision, CPU)


def test_tf32_is_on_where_asked_for_and_nowhere_else():
    for precision in ("tf32", "fp32", "bf16"):
        assert use_precision(precision, GPU) == precision
        allowed = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        assert allowed == (precision == "tf32", precision == "tf32")


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_autocast_computes_in_the_precision(precision, dtype):
    with autocast(CPU, precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_cublas_workspaces_are_freed_where_torch_can(monkeypatch):
    called = []
    monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: called.append(True), raising=False)
    device.free_cublas_workspaces()
    assert called == [True]
    monkeypatch.delattr(torch._C, "_cuda_clearCublasWorkspaces")
    device.free_cublas_workspaces()


@pytest.mark.parametrize(("name", "made_current"), [("cuda", []), ("cuda:1", [1]), ("cpu", [])])
def test_a_gpu_of_a_number_is_the_current_one_from_the_start(monkeypatch, name, made_current):
    found = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda which: found.append(which.index))
    assert prepare(name, None) == torch.device(name) and found == made_current
