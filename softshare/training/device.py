"""Where a run computes: device, precision, and memory that is not given back to the system between steps."""

from __future__ import annotations

import contextlib
import ctypes
import platform
import resource
import sys
from pathlib import Path

import torch

from softshare.errors import UserError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


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
    """The precision of the convolutions; `auto` takes bf16 where the hardware multiplies in it, else fp32.

    Elsewhere bf16 is emulated: on a CPU without AVX-512 bf16 or AMX it is over ten times slower than fp32.

    Raises:
        UserError: An unknown precision.
    """
    if name == "auto":
        return "bf16" if _has_bf16(device) else "fp32"
    if name not in PRECISIONS:
        raise UserError("unknown precision", key="precision", value=name, remedy="auto, fp32 or bf16")
    return name


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager:
    """The autocast context of a resolved precision."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


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


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
