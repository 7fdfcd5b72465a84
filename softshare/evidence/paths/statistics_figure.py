"""Losses on shortest paths, epoch by epoch: in training, and in tests by either kind of batch norm's statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from softshare.evidence.figures.drawing import EDGE, axis, broken, write
from softshare.evidence.paths.runs import PathRow
from softshare.evidence.paths.statistics import anew_of

# Inches.
_WIDTH, _PANEL, _GAP, _LEFT, _RIGHT, _HEADLINE, _FOOT, _LINE = 7.5, 1.7, 0.45, 0.75, 0.2, 0.4, 0.45, 0.2
_NOTE = 6  # points

# Beside the colours, which not everyone tells apart. What is in front is drawn last.
_CURVES = (
    ("running_loss", "test, running statistics", "#d62728", "--"),
    ("loss", "test, statistics anew", "#1f77b4", "-"),
    ("train_loss", "training", "black", ":"),
)


def draw_statistics(title: str, rows: Sequence[PathRow]) -> Figure:
    """A panel for each network, its losses on a scale of powers of ten that all panels share.

    Args:
        title: Of the figure.
        rows: The networks; those without runs are listed below all.
    """
    shown = [row for row in rows if row.scores]
    notes = [f"{row.label}: not run at this scale" for row in rows if row.run is None]
    notes += [f"{row.label}: left out: {'; '.join(row.missing)}" for row in rows if row.missing]
    notes = [line for note in notes for line in broken(note, _NOTE, _WIDTH - 2 * EDGE)]
    panels = len(shown) * (_PANEL + _GAP) + (_FOOT if shown else 0.0)
    figure = Figure(figsize=(_WIDTH, _HEADLINE + panels + _LINE * (len(notes) + 1)))
    top = figure.get_size_inches()[1] - _HEADLINE
    write(figure, _WIDTH / 2, top + _HEADLINE / 2, title, 9)
    span = _span(shown)
    for index, row in enumerate(shown):
        bottom = top - (index + 1) * (_PANEL + _GAP) + 0.1
        panel = axis(figure, _LEFT, bottom, _WIDTH - _LEFT - _RIGHT, _PANEL)
        _draw_losses(panel, row)
        panel.set_ylim(*span)
        if index == 0:
            panel.legend(fontsize=6, loc="lower right", framealpha=0.85)
        if row is shown[-1]:
            panel.set_xlabel("epoch; dotted: a new phase", fontsize=8)
    for index, note in enumerate(notes):
        write(figure, _WIDTH / 2, _LINE * (len(notes) - index), note, _NOTE)
    return figure


def _draw_losses(panel: Axes, row: PathRow) -> None:
    found = anew_of(row)
    phases, length = found[0].loss.shape
    epochs = np.arange(1, phases * length + 1)
    for name, label, colour, style in _CURVES:
        curves = _curves(row, name)
        panel.plot(epochs, curves.mean(axis=0), style, color=colour, lw=1.1, label=label)
        if len(curves) > 1:
            panel.fill_between(epochs, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15, lw=0)
    for phase, window in enumerate(row.windows):
        if phase:
            panel.axvline(phase * length + 0.5, color="black", lw=0.6, ls=":")
        middle = (phase * length + length / 2) / len(epochs)
        panel.text(middle, 1.03, f"{window} x {window}", ha="center", fontsize=6, transform=panel.transAxes)
    panel.set(xlim=(0.5, len(epochs) + 0.5), yscale="log")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set_ylabel(f"loss, {row.label} (n = {len(found)})", fontsize=7)
    panel.tick_params(labelsize=7)
    panel.grid(alpha=0.3, lw=0.5)


def _curves(row: PathRow, name: str) -> np.ndarray:
    """A loss of every run, [seeds, epochs of all phases]; where it is 0, the least that can be drawn."""
    return np.maximum([getattr(each, name).ravel() for each in anew_of(row)], _LEAST)


def _span(rows: Sequence[PathRow]) -> tuple[float, float]:
    """From below the least loss of all panels to above the largest."""
    values = [
        value for row in rows for name, *_ in _CURVES for value in (_curves(row, name).min(), _curves(row, name).max())
    ]
    return (min(values) / 1.3, max(values) * 1.3) if values else (_LEAST, 1.0)


_LEAST = 1e-6  # nats a pixel: in bf16 and fp32 hardly told from 0
