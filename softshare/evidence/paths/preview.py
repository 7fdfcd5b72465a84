"""Examples of the shortest-path task as a picture, in the colours of Figure 5a."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from softshare.data.path_examples import Examples, PathSettings, draw_examples
from softshare.errors import UserError
from softshare.evidence.figures.drawing import FORMATS, axis, drawing_style, format_of, save_as, write

_MOST_EXAMPLES = 20  # a phase: more make no picture that one can look at
_PANEL, _GAP, _LABEL = 1.6, 0.1, 0.9  # inches

_EMPTY, _QUERY, _OBSTACLE, _PATH = (0, 0, 0), (40, 90, 255), (230, 40, 40), (255, 255, 255)


def write_preview(file: Path, seed: int = 0, examples: int = 6) -> None:
    """Draws the first training examples of every phase as in the paper, a row a phase.

    Args:
        file: The picture to write: png, svg or pdf.
        seed: Of the data, a whole number from 0.
        examples: How many of each phase, 1 to 20.

    Raises:
        UserError: Any of them is out of range, or the picture cannot be written.
    """
    if format_of(file) not in FORMATS:
        raise UserError("unknown kind of picture", key="preview", value=str(file), remedy="png, svg or pdf")
    if not 1 <= examples <= _MOST_EXAMPLES:
        raise UserError(f"must be a whole number from 1 to {_MOST_EXAMPLES}", key="examples", value=examples)
    with drawing_style():
        save_as(_draw(PathSettings(), seed, examples), file)


def coloured(examples: Examples) -> np.ndarray:
    """Examples as pixels, uint8 [N, side, side, 3]: queries blue, obstacles red, shortest paths white."""
    pixels = np.full((*examples.labels.shape, 3), _EMPTY, np.uint8)
    for cells, colour in (
        (examples.labels, _PATH),
        (examples.inputs[:, 1], _OBSTACLE),
        (examples.inputs[:, 0], _QUERY),  # last: the queries lie on the path
    ):
        pixels[cells == 1] = colour
    return pixels


def _draw(settings: PathSettings, seed: int, examples: int) -> Figure:
    rows = len(settings.windows)
    height = _GAP + rows * (_PANEL + _GAP)
    figure = Figure(figsize=(_LABEL + examples * (_PANEL + _GAP), height))
    for row, window in enumerate(settings.windows):
        bottom = height - (row + 1) * (_PANEL + _GAP)
        write(figure, _LABEL / 2, bottom + _PANEL / 2, f"phase {row + 1}\n{window} x {window}", 8)
        for column, pixels in enumerate(coloured(draw_examples(settings, row + 1, "train", seed, examples))):
            panel = axis(figure, _LABEL + column * (_PANEL + _GAP), bottom, _PANEL, _PANEL)
            panel.imshow(pixels, interpolation="nearest")
            panel.set(xticks=[], yticks=[])
    return figure
