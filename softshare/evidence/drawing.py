"""How every figure is laid out and written: places reckoned in inches, and the same bytes for the same runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from softshare.files import written_whole

# Neither dates, versions nor random names: the same runs give the same bytes.
_SALT = {"svg.hashsalt": "softshare"}
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
FORMATS = tuple(_METADATA)


@contextmanager
def drawing_style() -> Iterator[None]:
    """The style in which a figure is both drawn and saved, whatever the user's own is."""
    with style.context(["default", _SALT]):
        yield


def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """Writes a figure as `<stem>.svg`, `.png` and `.pdf`, each whole or not at all.

    Raises:
        UserError: It cannot be written.
    """
    files = [stem.with_name(f"{stem.name}.{ending}") for ending in FORMATS]
    for file in files:
        save_as(figure, file)
    return files


def format_of(file: Path) -> str:
    """What a file's ending says that it is, such as `png`."""
    return file.suffix.removeprefix(".").lower()


def save_as(figure: Figure, file: Path) -> None:
    """Writes a figure, whole or not at all, in the format that the file's ending tells: one of `FORMATS`.

    Raises:
        UserError: It cannot be written.
    """
    ending = format_of(file)
    with written_whole(file) as temporary:
        figure.savefig(temporary, format=ending, metadata=_METADATA[ending], dpi=150)


def axis(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """An axis at a place in inches. Reckoned, not fitted: a fitted layout differs in its last bits between drawings."""
    wide, high = figure.get_size_inches()
    return figure.add_axes((left / wide, bottom / high, width / wide, height / high))


def write(figure: Figure, x: float, y: float, text: str, size: int) -> None:
    """A text centred at a place in inches."""
    wide, high = figure.get_size_inches()
    figure.text(x / wide, y / high, text, ha="center", va="center", fontsize=size)
