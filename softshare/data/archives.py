"""The files of a folder or of a tar archive, read into memory.

An archive is streamed member by member and nothing of it is written to disk, so that no path inside it can
lead astray; links and devices are passed over.
"""

from __future__ import annotations

import contextlib
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from softshare.data.tar_streams import BoundedReader, open_decompressed
from softshare.errors import UserError
from softshare.files import plain_file

# The largest form of CIFAR is about 190 MB. A source that holds far more is something else, or a trap; photographs in
# such number are read where they lie (`photograph_index`).
MOST_BYTES = 1 << 30
_MOST_UNPACKED = 4 * MOST_BYTES  # with all that is passed over
_MOST_MEMBERS = 500_000  # of which a small file may hold many that are empty


@dataclass
class Files:
    """Files in memory.

    Attributes:
        source: The folder or the archive they are from.
        in_archive: Whether it is an archive.
        contents: Their bytes, by their path inside the source.
        if_too_large: What to do where they are more than memory should take.
    """

    source: Path
    in_archive: bool
    contents: dict[str, bytes] = field(default_factory=dict)
    if_too_large: str = "is it another dataset?"
    _bytes: int = 0

    def where(self, name: str) -> str:
        """How a file is called in a message."""
        return f"{self.source}: {name}" if self.in_archive else str(self.source / name)

    def make_room(self, size: int) -> None:
        """Counts the bytes about to be read.

        Raises:
            UserError: They are more than any dataset of ours has.
        """
        self._bytes += size
        if self._bytes > MOST_BYTES:
            problem = "holds more data than is read into memory"
            raise UserError(problem, file=self.source, remedy=self.if_too_large)


def read_archive(path: Path, wanted: Callable[[str], bool], if_too_large: str | None = None) -> Files:
    """Reads the wanted members of a tar archive, compressed or not.

    Args:
        path: The archive.
        wanted: Which of its members to read, by their paths.
        if_too_large: What to tell to do where they are more than memory should take.

    Raises:
        UserError: It is no tar archive, or truncated, or corrupt.
    """
    files = Files(path, in_archive=True)
    if if_too_large:
        files.if_too_large = if_too_large
    try:
        with (
            contextlib.closing(BoundedReader(open_decompressed(path), _MOST_UNPACKED)) as reader,
            tarfile.open(fileobj=reader, mode="r:") as archive,  # type: ignore[call-overload]
        ):
            for count, member in enumerate(archive):
                archive.members.clear()  # which tarfile would keep, for reading backwards
                if count >= _MOST_MEMBERS:
                    raise UserError(f"holds more than {_MOST_MEMBERS:,} members", file=path, remedy="give the archive")
                name = str(PurePosixPath(member.name))
                if not member.isfile() or not wanted(name):
                    continue
                files.make_room(member.size)
                content = archive.extractfile(member)
                assert content is not None  # as for every regular file
                with reader.allowing(member.size):
                    files.contents[name] = content.read()
            # A tar archive ends before its compressed file does, and only there stands the checksum.
            while reader.read(1 << 20):
                pass
    except FileNotFoundError as error:
        raise UserError("no such file", file=path) from error
    except (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise UserError(
            f"cannot be read as a tar archive ({error})",
            file=path,
            remedy="give a whole .tar or .tar.gz; is it truncated?",
        ) from error
    return files


def read_folder(root: Path, patterns: Iterable[str], wanted: Callable[[str], bool]) -> Files:
    """Reads the wanted files of a folder.

    Args:
        root: The folder.
        patterns: Glob patterns to look at, relative to the folder.
        wanted: Which of their relative paths to read.

    Raises:
        UserError: A file cannot be read.
    """
    files = Files(root, in_archive=False)
    for path in wanted_paths(root, patterns, wanted):
        try:
            files.make_room(path.stat().st_size)
            files.contents[path.relative_to(root).as_posix()] = plain_file(path).read_bytes()
        except OSError as error:
            raise UserError(f"cannot be read ({error.strerror or error})", file=path) from error
    return files


def wanted_paths(root: Path, patterns: Iterable[str], wanted: Callable[[str], bool]) -> list[Path]:
    """The wanted files of a folder, sorted."""
    found = {path for pattern in patterns for path in root.glob(pattern)}
    return sorted(path for path in found if wanted(path.relative_to(root).as_posix()) and path.is_file())
