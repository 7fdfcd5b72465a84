"""What tells the code that trains from other code, whatever is committed or changed beside it."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import softshare

# They read runs, measure and foretell; no run is another for a change in them.
_BESIDE = ("bench", "evidence", "forecast")
_SOURCES = (".py", ".c")


@functools.cache
def code_digest(package: Path = Path(softshare.__file__).parent) -> str:
    """SHA-256 of the package's source files, by name and content, apart from the rooms that only read what a run left.

    A commit names more: documents, tests, what draws the figures. Two runs of one digest are runs of the same code.

    Args:
        package: The folder of the package.
    """
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*")):
        name = file.relative_to(package)
        if file.suffix in _SOURCES and name.parts[0] not in _BESIDE:
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{content}  {name.as_posix()}\n".encode())
    return digest.hexdigest()
