"""Examples of the shortest-path task as a picture, in the colours of Figure 5a. Loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from softshare.data.path_examples import Examples, PathSettings, draw_examples
from softshare.errors import UserError
from softshare.files import written_whole

# Neither dates nor versions nor random names: the same examples give the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_MOST_EXAMPLES = 20  # a phase: more make no picture that one can look at
_PANEL, _GAP, _LABEL = 1.6, 0.1, 0.9  # inches

_EMPTY, _QUERY, _OBSTACLE, _PATH = (0, 0, 0), (40, 90, 255), (230, 40, 40), (255, 255, 255)


def write_preview(file: Path, settings: PathSettings | None = None, seed: int = 0, examples: int = 6) -> None:
    """Draws the first training examples of every phase, a row a phase.

    Args:
        file: The picture to write: png, svg or pdf.
        settings: What the examples are; the paper's by default.
        seed: Of the data, a whole number from 0.
        examples: How many of each phase, 1 to 20.

    Raises:
        UserError: Any of them is out of range, or the picture cannot be written.
    """
    settings = PathSettings() if settings is None else settings
    ending = file.suffix.removeprefix(".").lower()
    if ending not in _METADATA:
        raise UserError("unknown kind of picture", key="preview", value=str(file), remedy="png, svg or pdf")
    if not 1 <= examples <= _MOST_EXAMPLES:
        raise UserError(f"must be a whole number from 1 to {_MOST_EXAMPLES}", key="examples", value=examples)
    with style.context(["default", {"svg.hashsalt": "softshare"}]):
        figure = _draw(settings, seed, examples)
        with written_whole(file) as temporary:
            figure.savefig(temporary, format=ending, metadata=_METADATA[ending], dpi=150)


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
    width = _LABEL + examples * (_PANEL + _GAP)
    height = _GAP + rows * (_PANEL + _GAP)
    figure = Figure(figsize=(width, height))
    for row, window in enumerate(settings.windows):
        bottom = height - (row + 1) * (_PANEL + _GAP)
        figure.text(
            _LABEL / 2 / width,
            (bottom + _PANEL / 2) / height,
            f"phase {row + 1}\n{window} x {window}",
            ha="center",
            va="center",
            fontsize=8,
        )
        for column, pixels in enumerate(coloured(draw_examples(settings, row + 1, "train", seed, examples))):
            left = _LABEL + column * (_PANEL + _GAP)
            axis = figure.add_axes((left / width, bottom / height, _PANEL / width, _PANEL / height))
            axis.imshow(pixels, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
    return figure
