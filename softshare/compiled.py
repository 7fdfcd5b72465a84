"""C sources compiled by the machine's own compiler, once, and what runs them in threads.

The library is kept in the user's cache folder, by the source, the compiler and the processor's capabilities. Set
SOFTSHARE_NATIVE=0 to do without: whoever asks has a way in torch as well.
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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

# Without contraction each operation is rounded on its own, as torch rounds them on every device.
ROUNDED_AS_TORCH = ("-O3", "-march=native", "-ffp-contract=off")


def library_beside(module: str, flags: tuple[str, ...]) -> Callable[[], ctypes.CDLL | None]:
    """A function that gives the library of a module's own source, compiled when it is first asked for.

    Args:
        module: The module's `__file__`; its source bears the same name and ends in `.c`.
        flags: As of `compiled_library`.
    """
    return functools.cache(lambda: compiled_library(Path(module).with_suffix(".c"), flags))


def compiled_library(source: Path, flags: tuple[str, ...]) -> ctypes.CDLL | None:
    """A source as a loaded library; None where there is no compiler, or none is wanted.

    Args:
        source: A file of C.
        flags: Of the compiler, besides those that make a library.
    """
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")
    if os.environ.get("SOFTSHARE_NATIVE") == "0" or compiler is None or platform.system() == "Windows":
        return None
    flags = (*flags, "-shared", "-fPIC", "-std=c11")
    key = hashlib.sha256(source.read_bytes() + repr((flags, compiler, _processor())).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "softshare"
    target = cache / "compiled" / f"{source.stem}-{key}.so"
    for _ in range(2):  # what does not load is made anew, once
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            return ctypes.CDLL(str(_compiled(compiler, flags, source, target)))
        with contextlib.suppress(OSError):
            target.unlink(missing_ok=True)
    return None


def address(tensor: Tensor) -> ctypes.c_void_p:
    """Where a tensor's numbers lie, as C takes it."""
    return ctypes.c_void_p(tensor.data_ptr())


def in_threads(part: Callable[[int, int], None], size: int, least: int, multiple: int = 1) -> None:
    """Does `part(first, last)` for ranges that make up 0..size, in torch's number of threads.

    Args:
        part: What is done; it must not hold the interpreter's lock for long.
        size: Where the last range ends.
        least: Below this size a thread's start costs more than it saves.
        multiple: Ranges begin at multiples of it.
    """
    threads = max(1, min(torch.get_num_threads(), size // least))
    step = -(-size // (multiple * threads)) * multiple
    ranges = [(first, min(first + step, size)) for first in range(0, size, step)]
    if len(ranges) == 1:
        part(*ranges[0])
        return
    pool = _pool(os.getpid(), len(ranges) - 1)
    others = [pool.submit(part, *each) for each in ranges[1:]]
    part(*ranges[0])
    for other in others:
        other.result()


def _compiled(compiler: str, flags: tuple[str, ...], source: Path, target: Path) -> Path:
    if not target.exists() or not _own(target):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            made = Path(folder) / target.name
            command = [compiler, *flags, str(source), "-o", str(made)]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            made.chmod(0o700)
            made.replace(target)
    if not (_own(target) and _own(target.parent)):
        raise PermissionError(f"{target} may have been made by another user")
    return target


def _own(path: Path) -> bool:
    """Whether nobody but this user and root can have put something there: what is loaded is run."""
    status = path.stat()
    return not hasattr(os, "getuid") or (status.st_uid in (0, os.getuid()) and not status.st_mode & 0o022)


def _processor() -> str:
    # A home folder may be shared by machines of several kinds: code for one must not be loaded on another.
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else platform.node()
    return repr((platform.machine(), sorted(capabilities.items()) if isinstance(capabilities, dict) else capabilities))


@functools.cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    # Keyed by process: a fork inherits the object and not its threads.
    return ThreadPoolExecutor(threads, thread_name_prefix="softshare")
