"""The training curves of Figure 5b: F1 through phases of growing distance, mean over seeds with a band."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from softshare.evidence.paths.runs import PathRow

ENLARGED_FROM = 0.9

# Beside the colours, which not everyone tells apart.
_LINES = (("-", "o"), ("--", "s"), ("-.", "^"), (":", "D"))
_COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b")
_MARKERS = 10  # a curve


def worth_enlarging(rows: Sequence[PathRow]) -> bool:
    """Whether every row's F1 is so high on average that nobody can tell the curves apart in a panel from 0 to 1."""
    shown = [row for row in rows if row.scores]
    return bool(shown) and all(row.stacked("f1").mean() > ENLARGED_FROM for row in shown)


def draw_curves(panel: Axes, rows: Sequence[PathRow], lowest: float = 0.0) -> None:
    """Draws the curves of all rows that have runs, with the borders of phases.

    Args:
        panel: Where.
        rows: The networks, each with a colour of its own; one at least has runs.
        lowest: F1 at the lower edge; above 0 it is an enlarged part, and names nothing that another panel names.
    """
    styles = zip(itertools.cycle(_COLOURS), itertools.cycle(_LINES), strict=False)
    for index, (row, (colour, (style, marker))) in enumerate(zip(rows, styles, strict=False)):
        if not row.scores:
            continue
        curves = row.stacked("f1").reshape(len(row.scores), -1)  # [seeds, epochs of all phases]
        epochs, mean = np.arange(1, curves.shape[1] + 1), curves.mean(axis=0)
        apart = max(len(rows), len(epochs) // _MARKERS)
        panel.plot(
            epochs,
            mean,
            style,
            marker=marker,
            markevery=(index * apart // len(rows), apart),  # of no two rows at one epoch
            ms=3,
            color=colour,
            lw=1.2,
            label=f"{row.label} (n = {len(curves)})",
        )
        if len(curves) > 1:
            sd = curves.std(axis=0, ddof=1)
            low, high = np.maximum(mean - sd, 0.0), np.minimum(mean + sd, 1.0)  # F1 is nothing else
            panel.fill_between(epochs, low, high, color=colour, alpha=0.2, lw=0)
    shown = next(row for row in rows if row.scores)
    phases, length = shown.stacked("f1").shape[1:]
    for phase, window in enumerate(shown.windows):
        if phase:
            panel.axvline(phase * length + 0.5, color="black", lw=0.6, ls=":")
        if not lowest:
            middle = phase * length + 0.5 + length / 2
            panel.text(middle, 1.04, f"{window} x {window}", ha="center", fontsize=7)
    panel.set(xlim=(0.5, phases * length + 0.5), ylim=(lowest, 1))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.tick_params(labelsize=7)
    panel.grid(alpha=0.3, lw=0.5)
    if lowest:
        panel.set_ylabel(f"the same, from {lowest:g} on", fontsize=8)
    else:
        panel.set_ylabel("F1 on the phase's test set", fontsize=8)
        panel.legend(fontsize=6, loc="lower right", framealpha=0.85)
