"""The thin product as compiled code, on a CPU with a C compiler; elsewhere `synthesis` does it with torch.

A BLAS packs its operands, which for an L x k matrix times a k x millions one doubles the traffic; one pass of plain
C runs at the speed of memory. Compiled once per machine, in about a second, and kept in the user's cache folder.
Set SOFTSHARE_NATIVE=0 to do without.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

_TYPES = {torch.float32: 0, torch.bfloat16: 1}
_SOURCE = Path(__file__).with_name("native.c")
_FLAGS = ("-O3", "-march=native", "-fopenmp-simd", "-ffp-contract=fast", "-shared", "-fPIC", "-std=c11")
# Below this many numbers a thread's start costs more than it saves.
_SHARE = 1 << 17


def serves(coefficients: Tensor, templates: Tensor, other: torch.dtype) -> bool:
    """Whether the compiled product takes coefficients [L, k], templates [k, N] and weights or gradients of a type."""
    return (
        # Gradients of all layers lie on the stack, a tile each.
        coefficients.shape[0] <= 256
        and coefficients.dtype == torch.float32
        and templates.device.type == "cpu"
        and templates.dtype == torch.float32
        and other in _TYPES
        and templates.numel() >= _SHARE
        and templates.stride(1) == 1
        and library() is not None
    )


def weights(coefficients: Tensor, templates: Tensor, dtype: torch.dtype) -> Tensor:
    """As `synthesis.synthesise`; `serves` tells for what."""
    code = library()
    assert code is not None
    coefficients = coefficients.contiguous()
    layers, count = coefficients.shape
    made = templates.new_empty(layers, templates.shape[1], dtype=dtype)
    pointers, targets = _rows(templates.unbind(0)), _rows(made.unbind(0))

    def part(first: int, last: int) -> None:
        code.softshare_weights(
            _address(coefficients), layers, count, pointers, targets, _TYPES[dtype],
            ctypes.c_long(first), ctypes.c_long(last),
        )  # fmt: skip

    _in_threads(part, templates.shape[1])
    return made


def gradients(coefficients: Tensor, templates: Tensor, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """As `synthesis.synthesis_gradients`, for layers that all have a gradient [N] of one type."""
    code = library()
    assert code is not None
    coefficients = coefficients.contiguous()
    rows = [row.contiguous() for row in rows]
    layers, count = coefficients.shape
    for_templates = torch.empty_like(templates, memory_format=torch.contiguous_format)
    pointers, sources, targets = _rows(templates.unbind(0)), _rows(rows), _rows(for_templates.unbind(0))
    partial: dict[int, Tensor] = {}

    def part(first: int, last: int) -> None:
        partial[first] = torch.empty(layers, count, dtype=torch.float64)
        code.softshare_gradients(
            _address(coefficients), layers, count, pointers, sources, _TYPES[rows[0].dtype], targets,
            _address(partial[first]), ctypes.c_long(first), ctypes.c_long(last),
        )  # fmt: skip

    _in_threads(part, templates.shape[1])
    total = torch.stack([partial[first] for first in sorted(partial)]).sum(0)
    return total.to(coefficients.dtype), for_templates


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled code; None where there is no compiler, or none is wanted."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")
    if os.environ.get("SOFTSHARE_NATIVE") == "0" or compiler is None or platform.system() == "Windows":
        return None
    key = hashlib.sha256(_SOURCE.read_bytes() + repr((_FLAGS, compiler, _processor())).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "softshare"
    target = cache / f"native-{key}.so"
    for _ in range(2):  # what does not load is made anew, once
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            return ctypes.CDLL(str(_compiled(compiler, target)))
        with contextlib.suppress(OSError):
            target.unlink(missing_ok=True)
    return None


def _compiled(compiler: str, target: Path) -> Path:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            made = Path(folder) / target.name
            command = [compiler, *_FLAGS, str(_SOURCE), "-o", str(made)]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            made.replace(target)
    return target


def _processor() -> str:
    # A home folder may be shared by machines of several kinds: code for one must not be loaded on another.
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else platform.node()
    return repr((platform.machine(), sorted(capabilities.items()) if isinstance(capabilities, dict) else capabilities))


def _rows(tensors: Sequence[Tensor]) -> ctypes.Array:
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


def _address(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def _in_threads(part: Callable[[int, int], None], size: int) -> None:
    threads = max(1, min(torch.get_num_threads(), size // (_SHARE // 8)))
    step = -(-size // (16 * threads)) * 16
    ranges = [(first, min(first + step, size)) for first in range(0, size, step)]
    if len(ranges) == 1:
        part(*ranges[0])
        return
    pool = _pool(os.getpid(), len(ranges) - 1)
    others = [pool.submit(part, *each) for each in ranges[1:]]
    part(*ranges[0])
    for other in others:
        other.result()


@functools.cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    # Keyed by process: a fork inherits the object and not its threads.
    return ThreadPoolExecutor(threads, thread_name_prefix="softshare")
