"""Which files are images, told by their names."""

from __future__ import annotations

from pathlib import PurePosixPath

_SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp")


def is_image(name: str) -> bool:
    """Whether a path inside a folder or archive is that of an image, and not hidden."""
    path = PurePosixPath(name)
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
