"""Which photographs a folder or a tar archive holds, and where each begins; nothing is unpacked to disk."""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

from softshare.data.archives import read_archive
from softshare.data.image_names import is_image
from softshare.data.photograph_files import FolderStore, MemoryStore, Store, TarStore
from softshare.data.tar_streams import BoundedReader, is_compressed
from softshare.errors import UserError
from softshare.files import plain_file


@dataclass(frozen=True)
class Index:
    """Image files by number.

    Attributes:
        source: The folder or archive.
        paths: Their paths inside it.
        store: Where their bytes are read from.
    """

    source: Path
    paths: list[str]
    store: Store


def index_of(source: Path) -> Index:
    """Indexes the image files of a folder or of a tar archive.

    Raises:
        UserError: No such file, a folder that cannot be opened, or an archive that cannot be read or, being
            compressed, is too large for memory.
    """
    if source.is_dir():
        paths = sorted(_files_below(source))
        return Index(source, paths, FolderStore(source, paths))
    if _is_compressed(source):
        files = read_archive(source, is_image, "photographs of that size are read in place: give them as plain .tar")
        return Index(
            source, list(files.contents), MemoryStore(source, list(files.contents), [*files.contents.values()])
        )
    return _index_of_tar(source, of_tars=False)


def index_of_tars(source: Path) -> Index:
    """Indexes a tar archive of one tar archive a class, such as `ILSVRC2012_img_train.tar`, read where it lies.

    A photograph's path is `<class>/<name>`.

    Raises:
        UserError: It cannot be read, or is truncated.
    """
    return _index_of_tar(source, of_tars=True)


@dataclass
class _Members:
    paths: list[str] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def add(self, path: str, member: tarfile.TarInfo, before: int = 0) -> None:
        """Adds a plain file; `before` is the first byte of the archive that it is a member of."""
        if member.isreg() and not member.issparse() and is_image(path):
            self.paths.append(path)
            self.offsets.append(before + member.offset_data)
            self.sizes.append(member.size)


def _index_of_tar(source: Path, of_tars: bool) -> Index:
    members = _Members()
    try:
        with (
            plain_file(source).open("rb") as file,
            tarfile.open(fileobj=BoundedReader(file), mode="r:") as archive,  # type: ignore[call-overload]
        ):
            for member in archive:
                name = str(PurePosixPath(member.name))
                if not of_tars:
                    members.add(name, member)
                elif member.isreg() and name.endswith(".tar") and (inside := archive.extractfile(member)):
                    _add_members_of(inside, PurePosixPath(name).stem, member.offset_data, members)
                archive.members = []  # or a million of them would be kept
        if max((o + s for o, s in zip(members.offsets, members.sizes, strict=True)), default=0) > source.stat().st_size:
            raise EOFError("it ends within a photograph")
    except FileNotFoundError as error:
        raise UserError("no such file", file=source) from error
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"cannot be read as a tar archive ({error})", file=source, remedy="is it truncated?") from error
    store = TarStore(source, members.paths, np.array(members.offsets, np.int64), np.array(members.sizes, np.int64))
    return Index(source, members.paths, store)


def _add_members_of(inside: IO[bytes], label: str, before: int, members: _Members) -> None:
    with tarfile.open(fileobj=BoundedReader(inside), mode="r:") as archive:  # type: ignore[call-overload]
        for member in archive:
            members.add(f"{label}/{PurePosixPath(member.name).name}", member, before)


def _files_below(root: Path) -> Iterator[str]:
    """Image files at most four folders down, as paths relative to the root."""

    def refuse(error: OSError) -> None:  # os.walk by itself passes over such a folder, and its photographs with it
        raise UserError(f"cannot be read ({error.strerror or error})", file=Path(error.filename)) from error

    for folder, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        inside = Path(folder).relative_to(root).as_posix()
        folders[:] = [] if inside.count("/") >= 3 else [name for name in folders if not _passed_over(name)]
        yield from (name if inside == "." else f"{inside}/{name}" for name in files if is_image(name))


def _passed_over(folder: str) -> bool:
    """Whether a folder is no one's class: a hidden one, or that which a disk has at its root and keeps closed."""
    return folder.startswith(".") or folder == "lost+found"


def _is_compressed(source: Path) -> bool:
    try:
        return is_compressed(source)
    except FileNotFoundError as error:
        raise UserError("no such file", file=source) from error
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})", file=source) from error
