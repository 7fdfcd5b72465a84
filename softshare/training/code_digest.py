"""What tells the code that trains from other code, whatever is committed or changed beside it."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import softshare

# They read runs, measure, foretell and ask a cluster; no run is another for a change in them.
_BESIDE = ("bench", "evidence", "forecast", "site.py")
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
        # An editor leaves links and copies that begin with a dot.
        hidden = any(part.startswith(".") for part in name.parts)
        if file.suffix in _SOURCES and not hidden and name.parts[0] not in _BESIDE and file.is_file():
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{content}  {name.as_posix()}\n".encode())
    return digest.hexdigest()
