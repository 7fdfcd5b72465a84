"""What is fuzzed: a parser as a function of bytes, and the folder that the files lie in which it reads."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

PLACE = Path(tempfile.mkdtemp(prefix="fuzz-"))


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes:
        read: What is done with the bytes; it may raise `UserError` and nothing else.
        good: Bytes that it takes without an error, to begin from.
    """

    read: object
    good: bytes


def written(name, content):
    """Writes a file below `PLACE`, and gives its path."""
    path = PLACE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
