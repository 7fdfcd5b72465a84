"""Where a run computes: device, precision, and memory that is not given back to the system between steps."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import platform
import resource
import sys
from pathlib import Path
from typing import Any

import torch

from softshare.errors import UserError
from softshare.site import GPU_ALONE

# What convolutions are computed in. fp32 is IEEE's on every device; tf32 rounds its factors to 10 bits, on a GPU alone.
PRECISIONS = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(name: str = "auto") -> torch.device:
    """The device of a name; `auto` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        UserError: No such device on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError("unknown device", key="device", value=name, remedy="auto, cpu, mps, cuda or cuda:N") from error
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= count.get(device.type, 0):
        raise UserError("no such device here", key="device", value=name, remedy="use --device auto or cpu")
    return device


def resolve_precision(name: str, device: torch.device) -> str:
    """The precision of the convolutions; `auto` takes the fastest that the hardware multiplies in.

    That is bf16 on a CPU with AVX-512 bf16 or AMX, and on a GPU from compute capability 8.0; fp16 on one of 7.x; else
    fp32. Without such hardware bf16 is emulated: on a CPU it is over ten times slower than fp32. On a CPU a convolution
    in bf16 is compared with one in fp32 before bf16 is taken.

    Raises:
        UserError: An unknown precision, or one that the device does not have.
    """
    if name == "auto":
        return next(each for each in ("bf16", "fp16", "fp32") if multiplies_in(each, device))
    if name not in PRECISIONS:
        raise UserError("unknown precision", key="precision", value=name, remedy=f"auto, {', '.join(PRECISIONS)}")
    if name in GPU_ALONE and device.type != "cuda":
        raise UserError(f"is not for a {device.type}", key="precision", value=name, remedy="auto, fp32 or bf16")
    return name


def multiplies_in(precision: str, device: torch.device) -> bool:
    """Whether the hardware multiplies in a resolved precision; else it is emulated, or another takes its place."""
    if precision == "bf16":
        return _has_bf16(device)
    least = {"fp32": None, "fp16": (7, 0), "tf32": (8, 0)}[precision]
    return least is None or (device.type == "cuda" and torch.cuda.get_device_capability(device) >= least)


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")) and bf16_agrees()


@functools.cache
def bf16_agrees() -> bool:
    """Whether a convolution on this CPU, forward and backward in bf16, comes out as in fp32 but for rounding."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 16, 16, 16, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(16, 16, 3, 3, generator=generator)
    results = []
    for precision in ("fp32", "bf16"):
        leaf = weight.clone().requires_grad_()
        with autocast(torch.device("cpu"), precision):
            output = torch.nn.functional.conv2d(images, leaf, padding=1)
        output.float().square().mean().backward()
        assert leaf.grad is not None
        results.append((output.detach().float(), leaf.grad))
    # 8 bits of mantissa: products are off by 1/256 or so, at random.
    return all(float((low - full).norm() / full.norm()) < 0.02 for full, low in zip(*results, strict=True))


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager:
    """The autocast context of a resolved precision."""
    dtype = PRECISIONS[precision]
    lower = dtype != torch.float32
    return torch.autocast(device.type, dtype=dtype if lower else torch.bfloat16, enabled=lower)


def use_precision(name: str, device: torch.device) -> str:
    """Resolves a precision for what is computed from here on: a GPU multiplies in TF32 if that is it, and only then.

    PyTorch alone always lets cuDNN.

    Raises:
        UserError: As `resolve_precision`.
    """
    precision = resolve_precision(name, device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    return precision


def compiled(model: torch.nn.Module, device: torch.device) -> Any:
    """The model as `torch.compile` makes it for one size of batch; on a GPU its kernels are replayed as CUDA graphs."""
    return torch.compile(model, dynamic=False, mode="reduce-overhead" if device.type == "cuda" else None)


def keep_freed_memory() -> None:
    """Tells glibc to keep freed memory for the next step instead of returning it to the system.

    By default every large tensor is mapped afresh and its pages are filled with zeros at first touch: a copy of
    88 MB took 213 ms in place of 6 on a two-core EPYC. A no-op outside glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    m_trim_threshold, m_mmap_max = -1, -4
    libc = ctypes.CDLL(None)
    libc.mallopt(m_mmap_max, 0)
    libc.mallopt(m_trim_threshold, 2**31 - 1)


def describe_device(device: torch.device) -> str:
    """One line that names the hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor()


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory held so far: by the allocator of a GPU, or by the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with contextlib.suppress(OSError):  # getrusage counts what the parent held before the process began
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def free_cublas_workspaces() -> None:
    """Gives back what cuBLAS works in: tens of MiB for each stream it was used on, else kept until the process ends.

    It takes what it needs anew.
    """
    if hasattr(torch._C, "_cuda_clearCublasWorkspaces"):  # torch's own recording of compiled code calls it as well
        torch._C._cuda_clearCublasWorkspaces()


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
