"""Figure 5: training curves, how far each network extrapolates, and examples with predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from softshare.data.path_examples import Examples
from softshare.errors import UserError
from softshare.evidence.figures.drawing import EDGE, axis, broken, fitted, write
from softshare.evidence.paths.curve_panels import ENLARGED_FROM, draw_curves, worth_enlarging
from softshare.evidence.paths.differences import Difference
from softshare.evidence.paths.matrix_panels import APART, SIDE, differences_of, draw_matrices, matrices_of
from softshare.evidence.paths.preview import coloured
from softshare.evidence.paths.runs import PathRow, Predictions, read_predictions
from softshare.runfiles import PREDICTIONS

# Inches.
_EXAMPLE, _GAP, _LABEL = 1.15, 0.08, 0.75
_CURVES, _BETWEEN, _HEADLINE, _TITLE, _LINE = 2.2, 0.25, 0.4, 0.45, 0.2
_MATRICES = _TITLE + SIDE + _TITLE
_LEAST_WIDTH = 7.5
_NOTE = 6  # points


def draw_paths(title: str, rows: Sequence[PathRow], differences: Sequence[Difference] = ()) -> Figure:
    """The training curves on top, a heat map of extrapolation for each network below them, examples at the foot.

    Where every network's F1 is high on average, the curves are drawn once more, enlarged.

    Args:
        title: Of the figure.
        rows: The networks, each with a colour of its own; those without runs are listed below all.
        differences: Between rows that are trained: those in extrapolation are drawn, too, or why they are not is told.
    """
    shown = [row for row in rows if row.scores]
    notes = [line for row in rows for line in _notes(row)]
    predictions, notes_of_examples = _common_predictions(shown)
    notes += notes_of_examples + _notes_of_differences(shown, differences)
    pairs = dict.fromkeys((each.row, each.minus) for each in differences if each.found)
    matrices, less = matrices_of(rows), differences_of(rows, tuple(pairs))
    panels = (0.0, ENLARGED_FROM) if worth_enlarging(rows) else (0.0,)
    phases = len(next(iter(predictions.values())).inputs) if predictions else 0
    columns, maps = 2 + len(predictions), max(len(matrices), len(less))
    width = max(_LEAST_WIDTH, _LABEL + columns * (_EXAMPLE + _GAP) + _GAP, _LABEL + maps * (SIDE + APART))
    notes = [line for note in notes for line in broken(note, _NOTE, width - 2 * EDGE)]
    height = _HEADLINE + _LINE * (len(notes) + 1)
    if shown:
        height += _BETWEEN + len(panels) * (_CURVES + _BETWEEN) + _BETWEEN
        height += _MATRICES * (1 + bool(less))
    if phases:
        height += _TITLE + phases * (_EXAMPLE + _GAP)
    figure = Figure(figsize=(width, height))
    top = height - _HEADLINE
    write(figure, width / 2, top + _HEADLINE / 2, title, 9)
    if shown:
        top -= _BETWEEN
        for lowest in panels:
            panel = axis(figure, _LABEL, top - _CURVES, width - _LABEL - 0.3, _CURVES)
            draw_curves(panel, rows, lowest)
            top -= _CURVES + _BETWEEN
        panel.set_xlabel("epoch; dotted: a new phase", fontsize=8)
        top -= _BETWEEN
        write(figure, width / 2, top - 0.1, "Extrapolation: F1 at the end of each phase, on all phases", 8)
        draw_matrices(figure, matrices, _LABEL, top - _TITLE)
        top -= _MATRICES
        if less:
            write(figure, width / 2, top - 0.1, "Differences of these, paired by seed", 8)
            draw_matrices(figure, less, _LABEL, top - _TITLE, signed=True)
            top -= _MATRICES
    if phases:
        _draw_examples(figure, predictions, shown[0].windows, top)
    for index, note in enumerate(notes):
        write(figure, width / 2, _LINE * (len(notes) - index), note, _NOTE)
    return figure


def _notes(row: PathRow) -> list[str]:
    if row.run is None:
        return [f"{row.label}: not run at this scale"]
    notes = [] if row.run == row.paper else [f"{row.label}: {row.run} in place of {row.paper}"]
    return notes + [f"{row.label}: left out: {'; '.join(row.missing)}"] * bool(row.missing)


def _notes_of_differences(shown: Sequence[PathRow], differences: Sequence[Difference]) -> list[str]:
    labels = {row.label for row in shown}
    told = {(each.row, each.minus): each.notes for each in differences if {each.row, each.minus} <= labels}
    return [f"{row} less {minus}: {'; '.join(notes)}" for (row, minus), notes in told.items() if notes]


def _common_predictions(rows: Sequence[PathRow]) -> tuple[dict[str, Predictions], list[str]]:
    """Predictions of every network for the same examples: those of the first seed that all of them have."""
    seeds = sorted(set.intersection(*(set(row.scores) for row in rows))) if rows else []
    if not seeds:
        return {}, ["no examples: the networks share no seed"] if rows else []
    found: dict[str, Predictions] = {}
    notes = []
    for row in rows:
        try:
            predictions = read_predictions(row.folders[seeds[0]] / PREDICTIONS)
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


def _farthest(inputs: np.ndarray) -> int:
    """Which of a phase's examples, inputs [N, 2, side, side], has its queries farthest apart; the first such."""
    apart = [int(np.ptp(np.argwhere(each[0]), axis=0).max(initial=0)) if each[0].any() else 0 for each in inputs]
    return int(np.argmax(apart))


def _draw_examples(figure: Figure, predictions: dict[str, Predictions], windows: Sequence[int], top: float) -> None:
    first = next(iter(predictions.values()))
    for phase, window in enumerate(windows):
        bottom = top - _TITLE - (phase + 1) * (_EXAMPLE + _GAP) + _GAP
        write(figure, _LABEL / 2, bottom + _EXAMPLE / 2, f"phase {phase + 1}\n{window} x {window}", 7)
        which = slice(at := _farthest(first.inputs[phase]), at + 1)
        inputs, labels = first.inputs[phase, which], first.labels[phase, which]
        panels = {
            "input": coloured(Examples(inputs, np.zeros_like(labels)))[0],
            "label": coloured(Examples(inputs, labels))[0],
        } | {label: _predicted(each, phase, which) for label, each in predictions.items()}
        for column, (name, pixels) in enumerate(panels.items()):
            panel = axis(figure, _LABEL + column * (_EXAMPLE + _GAP), bottom, _EXAMPLE, _EXAMPLE)
            panel.imshow(pixels, interpolation="nearest")
            panel.set(xticks=[], yticks=[])
            if phase == 0:
                name, size = fitted(name, 8, _EXAMPLE, _TITLE / 2)
                panel.set_title(name, fontsize=size, pad=3)


def _predicted(predictions: Predictions, phase: int, which: slice) -> np.ndarray:
    """A prediction as pixels, uint8 [side, side, 3]: the lighter a point, the more probable."""
    inputs, probabilities = predictions.inputs[phase, which], predictions.probabilities[phase, which]
    grey = np.rint(255 * probabilities).astype(np.uint8)[..., None].repeat(3, axis=-1)
    given = inputs.max(axis=1)[..., None] > 0
    return np.where(given, coloured(Examples(inputs, np.zeros_like(predictions.labels[phase, which]))), grey)[0]
