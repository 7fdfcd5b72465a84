"""Figure 5: examples with predictions, training curves, and how far each network extrapolates."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from softshare.data.path_examples import Examples
from softshare.errors import UserError
from softshare.evidence.figures.drawing import EDGE, axis, broken, fitted, write
from softshare.evidence.paths.preview import coloured
from softshare.evidence.paths.runs import PathRow, Predictions, read_predictions

# Inches.
_EXAMPLE, _GAP, _LABEL = 0.95, 0.08, 0.75
_CURVES, _MATRIX, _HEADLINE, _TITLE, _LINE = 2.5, 1.3, 0.4, 0.5, 0.2
_LEAST_WIDTH = 7.5
_NOTE = 6  # points

# Beside the colours, which not everyone tells apart.
_LINES = (("-", "o"), ("--", "s"), ("-.", "^"), (":", "D"))
_COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b")


def draw_paths(title: str, rows: Sequence[PathRow]) -> Figure:
    """The training curves on top, a heat map of extrapolation for each network below them, examples at the foot.

    Args:
        title: Of the figure.
        rows: The networks, each with a colour of its own; those without runs are listed below all.
    """
    shown = [row for row in rows if row.scores]
    notes = [line for row in rows for line in _notes(row)]
    predictions, notes_of_examples = _common_predictions(shown)
    notes += notes_of_examples
    columns, phases = 2 + len(predictions), 0
    if predictions:
        phases = len(next(iter(predictions.values())).inputs)
    width = max(_LEAST_WIDTH, _LABEL + columns * (_EXAMPLE + _GAP) + _GAP, _LABEL + len(shown) * (_MATRIX + 0.45))
    examples_height = _TITLE + phases * (_EXAMPLE + _GAP) if phases else 0.0
    drawn_height = _TITLE + _CURVES + _TITLE + _TITLE + _MATRIX + _TITLE if shown else 0.0
    notes = [line for note in notes for line in broken(note, _NOTE, width - 2 * EDGE)]
    figure = Figure(figsize=(width, _HEADLINE + examples_height + drawn_height + _LINE * (len(notes) + 1)))
    top = figure.get_size_inches()[1] - _HEADLINE
    write(figure, width / 2, top + _HEADLINE / 2, title, 9)
    if shown:
        _draw_curves(axis(figure, _LABEL, top - _TITLE - _CURVES, width - _LABEL - 0.3, _CURVES), rows)
        below = top - _TITLE - _CURVES - _TITLE
        write(figure, width / 2, below - 0.1, "Extrapolation: F1 at the end of each phase, on all phases", 8)
        _draw_matrices(figure, shown, below - _TITLE)
    if phases:
        _draw_examples(figure, predictions, shown[0].windows, top - drawn_height)
    for index, note in enumerate(notes):
        write(figure, width / 2, _LINE * (len(notes) - index), note, _NOTE)
    return figure


def _notes(row: PathRow) -> list[str]:
    if row.run is None:
        return [f"{row.label}: not run at this scale"]
    notes = [] if row.run == row.paper else [f"{row.label}: {row.run} in place of {row.paper}"]
    return notes + [f"{row.label}: left out: {'; '.join(row.missing)}"] * bool(row.missing)


def _common_predictions(rows: Sequence[PathRow]) -> tuple[dict[str, Predictions], list[str]]:
    """Predictions of every network for the same examples: those of the first seed that all of them have."""
    seeds = sorted(set.intersection(*(set(row.scores) for row in rows))) if rows else []
    if not seeds:
        return {}, ["no examples: the networks share no seed"] if rows else []
    found: dict[str, Predictions] = {}
    notes = []
    for row in rows:
        try:
            predictions = read_predictions(row.folders[seeds[0]] / "predictions.npz")
        except UserError as error:
            # Without the folder: the same runs give the same figure wherever they lie.
            notes.append(f"{row.label}: no predictions: " + str(error).replace(f"{row.folders[seeds[0]]}/", ""))
            continue
        first = next(iter(found.values()), predictions)
        if np.array_equal(first.inputs, predictions.inputs) and np.array_equal(first.labels, predictions.labels):
            found[row.label] = predictions
        else:
            notes.append(f"{row.label}: no predictions: seed {seeds[0]} was tested on other examples")
    return found, notes


def _draw_examples(figure: Figure, predictions: dict[str, Predictions], windows: Sequence[int], top: float) -> None:
    first = next(iter(predictions.values()))
    for phase, window in enumerate(windows):
        bottom = top - _TITLE - (phase + 1) * (_EXAMPLE + _GAP) + _GAP
        write(figure, _LABEL / 2, bottom + _EXAMPLE / 2, f"phase {phase + 1}\n{window} x {window}", 7)
        inputs, labels = first.inputs[phase, :1], first.labels[phase, :1]
        panels = {
            "input": coloured(Examples(inputs, np.zeros_like(labels)))[0],
            "label": coloured(Examples(inputs, labels))[0],
        } | {label: _predicted(each, phase) for label, each in predictions.items()}
        for column, (name, pixels) in enumerate(panels.items()):
            panel = axis(figure, _LABEL + column * (_EXAMPLE + _GAP), bottom, _EXAMPLE, _EXAMPLE)
            panel.imshow(pixels, interpolation="nearest")
            panel.set(xticks=[], yticks=[])
            if phase == 0:
                name, size = fitted(name, 8, _EXAMPLE, _TITLE / 2)
                panel.set_title(name, fontsize=size, pad=3)


def _predicted(predictions: Predictions, phase: int) -> np.ndarray:
    """A prediction as pixels, uint8 [side, side, 3]: the lighter a point, the more probable."""
    inputs, probabilities = predictions.inputs[phase, :1], predictions.probabilities[phase, :1]
    grey = np.rint(255 * probabilities).astype(np.uint8)[..., None].repeat(3, axis=-1)
    given = inputs.max(axis=1)[..., None] > 0
    return np.where(given, coloured(Examples(inputs, np.zeros_like(predictions.labels[phase, :1]))), grey)[0]


def _draw_curves(panel: Axes, rows: Sequence[PathRow]) -> None:
    for row, colour, (style, marker) in zip(rows, _colours(rows), itertools.cycle(_LINES), strict=False):
        if not row.scores:
            continue
        curves = row.stacked("f1").reshape(len(row.scores), -1)  # [seeds, epochs of all phases]
        epochs, mean = np.arange(1, curves.shape[1] + 1), curves.mean(axis=0)
        panel.plot(
            epochs,
            mean,
            style,
            marker=marker,
            markevery=0.1,
            ms=3,
            color=colour,
            lw=1.2,
            label=f"{row.label} (n = {len(curves)})",
        )
        if len(curves) > 1:
            sd = curves.std(axis=0, ddof=1)
            panel.fill_between(epochs, mean - sd, mean + sd, color=colour, alpha=0.2, lw=0)
    shown = next(row for row in rows if row.scores)
    phases, length = shown.stacked("f1").shape[1:]
    for phase, window in enumerate(shown.windows):
        if phase:
            panel.axvline(phase * length + 0.5, color="black", lw=0.6, ls=":")
        middle = phase * length + 0.5 + length / 2
        panel.text(middle, 1.04, f"{window} x {window}", ha="center", fontsize=7)
    panel.set(xlim=(0.5, phases * length + 0.5), ylim=(0, 1))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set_xlabel("epoch; dotted: a new phase", fontsize=8)
    panel.set_ylabel("F1 on the phase's test set", fontsize=8)
    panel.tick_params(labelsize=7)
    panel.grid(alpha=0.3, lw=0.5)
    panel.legend(fontsize=6, loc="lower right", framealpha=0.85)


def _draw_matrices(figure: Figure, rows: Sequence[PathRow], top: float) -> None:
    for index, row in enumerate(rows):
        matrix = row.stacked("extrapolation").mean(axis=0)
        panel = axis(figure, _LABEL + index * (_MATRIX + 0.45), top - _MATRIX, _MATRIX, _MATRIX)
        panel.pcolormesh(matrix, cmap="viridis", vmin=0.0, vmax=1.0, edgecolors="face", linewidth=0.2)
        for (trained, tested), value in np.ndenumerate(matrix):
            colour = "black" if value > 0.6 else "white"
            panel.text(tested + 0.5, trained + 0.5, f"{value:.2f}", ha="center", va="center", fontsize=5, color=colour)
        for place in range(len(matrix)):  # left of these: trained on before
            panel.add_patch(Rectangle((place, place), 1, 1, fill=False, ec="white", lw=0.8))
        ticks = [place + 0.5 for place in range(len(matrix))]
        names = [str(place + 1) for place in range(len(matrix))]
        panel.set(xlim=(0, len(matrix)), ylim=(len(matrix), 0))
        panel.set_xticks(ticks, names, fontsize=6)
        panel.set_yticks(ticks, names, fontsize=6)
        panel.tick_params(length=0, pad=1)
        name, size = fitted(f"{row.label} (n = {len(row.scores)})", 7, _MATRIX + 0.3, _TITLE / 2)
        panel.set_title(name, fontsize=size, pad=3)
        panel.set_xlabel("tested on phase", fontsize=6)
        if index == 0:
            panel.set_ylabel("trained up to phase", fontsize=6)


def _colours(rows: Sequence[PathRow]) -> list[str]:
    return [_COLOURS[index % len(_COLOURS)] for index in range(len(rows))]
