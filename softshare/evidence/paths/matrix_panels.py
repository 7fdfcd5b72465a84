"""Extrapolation as heat maps: F1 of a network trained up to a phase, on all phases; one network's less another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from softshare.evidence.figures.drawing import axis, fitted
from softshare.evidence.paths.runs import PathRow
from softshare.evidence.wording import signed as with_sign

SIDE, APART = 1.5, 0.45  # inches
_TITLE = 0.25
_LEAST_SPAN = 0.05  # of F1, that the darkest colours of a difference stand for at least


def matrices_of(rows: Sequence[PathRow]) -> dict[str, np.ndarray]:
    """Mean extrapolation over seeds of each row that has runs, by its heading."""
    return {
        f"{row.label} (n = {len(row.scores)})": row.stacked("extrapolation").mean(axis=0) for row in rows if row.scores
    }


def differences_of(rows: Sequence[PathRow], pairs: Sequence[tuple[str, str]]) -> dict[str, np.ndarray]:
    """Mean difference over the seeds that both rows of a pair have, by its heading.

    Args:
        rows: The networks.
        pairs: Labels of rows that may be held against each other: the second is taken from the first.
    """
    by_label = {row.label: row for row in rows}
    found = {}
    for one, other in pairs:
        ours, base = by_label[one].scores, by_label[other].scores
        seeds = sorted(ours.keys() & base.keys())
        if seeds:
            each = [ours[seed].extrapolation - base[seed].extrapolation for seed in seeds]
            found[f"{one} less {other} (n = {len(seeds)})"] = np.mean(each, axis=0)
    return found


def draw_matrices(
    figure: Figure, matrices: Mapping[str, np.ndarray], left: float, top: float, *, signed: bool = False
) -> None:
    """Draws matrices [phases trained, phases tested] side by side, each with its heading above.

    Args:
        figure: Where.
        matrices: By their headings.
        left: Of the first, in inches.
        top: Of all, in inches.
        signed: Whether they are differences, and 0 is the middle of the colours; else they lie between 0 and 1.
    """
    span = max([_LEAST_SPAN, *(float(np.abs(matrix).max()) for matrix in matrices.values())]) if signed else 1.0
    colours, lowest = ("RdBu", -span) if signed else ("viridis", 0.0)
    for index, (heading, matrix) in enumerate(matrices.items()):
        panel = axis(figure, left + index * (SIDE + APART), top - SIDE, SIDE, SIDE)
        panel.pcolormesh(matrix, cmap=colours, vmin=lowest, vmax=span, edgecolors="face", linewidth=0.2)
        for (trained, tested), value in np.ndenumerate(matrix):
            dark = abs(value) > 0.6 * span if signed else value < 0.6
            text = with_sign(value, 3) if signed else f"{value:.3f}"
            colour = "white" if dark else "black"
            panel.text(tested + 0.5, trained + 0.5, text, ha="center", va="center", fontsize=5, color=colour)
        for place in range(len(matrix)):  # left of these: trained on before
            panel.add_patch(Rectangle((place, place), 1, 1, fill=False, ec="black" if signed else "white", lw=0.8))
        ticks = [place + 0.5 for place in range(len(matrix))]
        names = [str(place + 1) for place in range(len(matrix))]
        panel.set(xlim=(0, len(matrix)), ylim=(len(matrix), 0))
        panel.set_xticks(ticks, names, fontsize=6)
        panel.set_yticks(ticks, names, fontsize=6)
        panel.tick_params(length=0, pad=1)
        name, size = fitted(heading, 7, SIDE + 0.3, _TITLE)
        panel.set_title(name, fontsize=size, pad=3)
        panel.set_xlabel("tested on phase", fontsize=6)
        if index == 0:
            panel.set_ylabel("trained up to phase", fontsize=6)
