"""A node's own copy of prepared data: made once a node from what all nodes share, whole, and held against its source.

`SOFTSHARE_SCRATCH` names the folder, in which variables of the node, such as `$TMPDIR`, are put in. Where no copy can
be made the shared data are read, and a line says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None  # type: ignore[assignment]

VARIABLE = "SOFTSHARE_SCRATCH"
_BLOCK = 1 << 22  # bytes read at once
_SPARE = 1 << 28  # bytes left free on the node


class _NoCopyError(Exception):
    """Carries why no copy can be made to where the shared data are taken in its place."""


def local_copy(source: Path) -> Path:
    """The node's copy of a file or folder, made if it is not there or its source has changed.

    Args:
        source: What all nodes share; it is only read.

    Returns:
        The copy; `source` itself where no scratch is named, or where none can be made.
    """
    named = os.environ.get(VARIABLE)
    if not named or not source.exists():
        return source
    try:
        return _copy(source.resolve(), _expanded(named))
    except (_NoCopyError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        print(f"softshare: no copy of {source} on this node ({reason}); it is read where it lies", file=sys.stderr)
        return source


def _expanded(named: str) -> Path:
    folder = Path(os.path.expandvars(named)).expanduser()
    if "$" in str(folder):
        raise _NoCopyError(f"{named} names a variable that this node does not have")
    if not folder.is_absolute():
        raise _NoCopyError(f"{folder} is no absolute path")
    return folder / f"softshare-{os.getuid() if hasattr(os, 'getuid') else ''}"


def _copy(source: Path, scratch: Path) -> Path:
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = scratch.lstat()
    if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
        raise _NoCopyError(f"{scratch} is no folder of this user's own, whose content could be believed")
    if found.st_mode & 0o022:
        raise _NoCopyError(f"others may write in {scratch}")
    place = hashlib.sha256(str(source).encode()).hexdigest()[:16]
    copy, seal = scratch / place / source.name, scratch / place / ".source.json"
    with _alone(scratch / f"{place}.lock"):
        stamp = _stamp(source)
        if _sealed(seal, stamp) and _sizes(copy) == stamp["sizes"]:
            return copy
        if shutil.disk_usage(scratch).free < sum(stamp["sizes"].values()) + _SPARE:
            raise _NoCopyError(f"{scratch} has not the room")
        shutil.rmtree(copy.parent, ignore_errors=True)
        unfinished = scratch / f"{place}.{os.getpid()}.tmp"
        try:
            digests = {name: _copied(_at(source, name), _at(unfinished / source.name, name)) for name in stamp["sizes"]}
            for name, digest in digests.items():
                if _digest(_at(unfinished / source.name, name)) != digest:
                    raise _NoCopyError(f"the copy of {name or source.name} is not what was read")
            if _stamp(source) != stamp:
                raise _NoCopyError("it changed while it was copied")
            (unfinished / seal.name).write_text(json.dumps(stamp), encoding="utf-8")
            unfinished.rename(copy.parent)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return copy


def _stamp(source: Path) -> dict[str, Any]:
    """By what a changed source is told: size and time of change of every file."""
    files = {name: _at(source, name).stat() for name in _names(source)}
    return {
        "source": str(source),
        "sizes": {name: file.st_size for name, file in files.items()},
        "changed": {name: file.st_mtime_ns for name, file in files.items()},
    }


def _names(source: Path) -> list[str]:
    """Files of a folder as seen from it; of a file the empty name."""
    if source.is_file():
        return [""]
    return sorted(path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file())


def _at(root: Path, name: str) -> Path:
    return root / name if name else root


def _sizes(copy: Path) -> dict[str, int] | None:
    return {name: _at(copy, name).stat().st_size for name in _names(copy)} if copy.exists() else None


def _sealed(seal: Path, stamp: dict[str, Any]) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return json.loads(seal.read_text(encoding="utf-8")) == stamp
    return False


def _copied(source: Path, copy: Path) -> str:
    """Copies a file; gives the SHA-256 of what was read."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with source.open("rb") as read, copy.open("wb") as written:
        while block := read.read(_BLOCK):
            digest.update(block)
            written.write(block)
    return digest.hexdigest()


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One process of a node at a time; the others wait, and find the copy made."""
    with file.open("a") as opened:
        if fcntl is not None:
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
