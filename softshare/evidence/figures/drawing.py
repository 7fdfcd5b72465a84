"""How every figure is laid out and written: places reckoned in inches, and the same bytes for the same runs."""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from softshare.files import written_whole

# Neither dates, versions nor random names: the same runs give the same bytes.
_SALT = {"svg.hashsalt": "softshare"}
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
FORMATS = tuple(_METADATA)

DPI = 150  # of what is written as pixels
EDGE = 0.05  # inches that a text keeps from the edge of its figure
_SPACING = 1.4  # of lines, in heights of the font: what matplotlib sets them at, and pixels that round it up
_SMALLEST = 4  # points; what does not fit at that size is cut


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
        figure.savefig(temporary, format=ending, metadata=_METADATA[ending], dpi=DPI)


def axis(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """An axis at a place in inches. Reckoned, not fitted: a fitted layout differs in its last bits between drawings."""
    wide, high = figure.get_size_inches()
    return figure.add_axes((left / wide, bottom / high, width / wide, height / high))


def write(figure: Figure, x: float, y: float, text: str, size: float) -> None:
    """A text centred at a place in inches; broken into lines, then made smaller, where it would leave the figure."""
    wide, high = figure.get_size_inches()
    text, size = fitted(text, size, 2 * min(x, wide - x) - 2 * EDGE, 2 * min(y, high - y))
    figure.text(x / wide, y / high, text, ha="center", va="center", fontsize=size, parse_math=False)


def fitted(text: str, size: float, width: float, height: float) -> tuple[str, float]:
    """A text and the size in points at which it fits into a room in inches: its own where it can be.

    Args:
        text: Its lines.
        size: The size wanted.
        width: Of the room.
        height: Of the room.
    """
    while True:
        lines, most = broken(text, size, width), max(1, int(height / line_height(size)))
        if len(lines) <= most or size <= _SMALLEST:
            break
        size = max(_SMALLEST, size - 1)
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][:-4] + " ..."]
    return "\n".join(lines), size


def broken(text: str, size: float, width: float) -> list[str]:
    """The lines of a text, broken between words, or within one that is too long, so that none is wider than a width.

    Args:
        text: Its lines.
        size: In points.
        width: In inches.
    """
    lines = []
    for whole in text.split("\n"):
        line, *pieces = (piece for word in whole.split(" ") for piece in _cut(word, size, width))
        for piece in pieces:
            if _width(f"{line} {piece}", size) <= width:
                line = f"{line} {piece}"
            else:
                lines.append(line)
                line = piece
        lines.append(line)
    return lines


def line_height(size: float) -> float:
    """Inches from a line of text to the next, at a size in points."""
    return _SPACING * size / 72


def _width(text: str, size: float) -> float:
    """What a line takes, in inches: the more of what the font says and of its letters set on whole pixels."""
    font = FontProperties(size=size)
    points = text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]
    pixels = _pixels().get_text_width_height_descent(text, font, ismath=False)[0]
    return max(points / 72, pixels / DPI)


@functools.cache
def _pixels() -> RendererAgg:
    return RendererAgg(1, 1, DPI)


def _cut(word: str, size: float, width: float) -> Iterator[str]:
    """A word in pieces, each as long as a width allows."""
    while len(word) > 1 and _width(word, size) > width:
        beginnings = [word[:count] for count in range(2, len(word))]
        fits = 1 + bisect_right(beginnings, width, key=lambda beginning: _width(beginning, size))
        yield word[:fits]
        word = word[fits:]
    yield word
