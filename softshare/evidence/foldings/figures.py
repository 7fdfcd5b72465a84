"""A network unrolled and folded, as Figures 4 and 6 of the paper draw it, and what folding costs as a curve."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from softshare.evidence.figures.drawing import EDGE, FORMATS, axis, drawing_style, fitted, save_figure
from softshare.evidence.foldings.reading import FoldedRun
from softshare.sharing.loops import Loops

# Inches.
_BOX_WIDTH, _BOX_HEIGHT, _STEP = 0.62, 0.22, 0.36
_COLUMN, _LANE, _HEADLINE, _HEADING, _MARGIN = 2.5, 0.36, 0.95, 0.35, 0.3
# In the order in which the ways are taken: the paper's red goes before green, green before blue.
_WAYS = ("#d62728", "#2ca02c", "#1f77b4", "#ff7f0e", "#9467bd", "#8c564b", "#e377c2", "#17becf")


def write_fold_figures(folded: FoldedRun, out: Path) -> list[Path]:
    """Writes `folding.{svg,png,pdf}`, and `folding-cost.{svg,png,pdf}` where several thresholds were measured.

    Args:
        folded: What folding left.
        out: The folder to write to.

    Returns:
        The files written.

    Raises:
        UserError: They cannot be written.
    """
    with drawing_style():
        files = save_figure(draw_stages([folded]), out / "folding")
        if len(folded.foldings) > 1:
            files += save_figure(draw_cost(folded), out / "folding-cost")
        else:  # an earlier curve belongs to an earlier folding
            for ending in FORMATS:
                (out / f"folding-cost.{ending}").unlink(missing_ok=True)
    return files


def draw_stages(runs: Sequence[FoldedRun], heading: str = "") -> Figure:
    """A column a run, a row a stage: unrolled, its layer similarity matrices, folded with the ways back in colour.

    Args:
        runs: Folded runs of one setting, at least one.
        heading: What is written above all.
    """
    wide = max(_wide(folded) for folded in runs)
    high = _HEADLINE + sum(max(heights) for heights in zip(*(_heights(folded) for folded in runs), strict=True))
    above = 0.24 if heading else 0.0
    figure = Figure(figsize=(wide * len(runs), high + above))
    panel = axis(figure, 0, 0, wide * len(runs), high + above)
    panel.set(xlim=(0, wide * len(runs)), ylim=(0, high + above))
    panel.set_axis_off()
    heading, size = fitted(heading, 9, wide * len(runs) - 2 * EDGE, above)
    panel.text(wide * len(runs) / 2, high, heading, ha="center", fontsize=size)
    for column, folded in enumerate(runs):
        _draw_run(figure, panel, folded, (column * wide, high), wide)
    return figure


def _heights(folded: FoldedRun) -> list[float]:
    """Of each stage."""
    return [
        _HEADING + _STEP * (folded.own_layers.get(stage, 0) + len(loops.sequence)) + _MARGIN
        for stage, loops in folded.chosen.stages.items()
    ]


def _columns(folded: FoldedRun) -> int:
    """Of a stage: unrolled, and a matrix a group."""
    return 1 + max(len(_groups_of(folded, stage)) for stage in folded.chosen.stages)


def _wide(folded: FoldedRun) -> float:
    lanes = max(len(loops.jumps) for loops in folded.chosen.stages.values())
    return _columns(folded) * _COLUMN + 1.8 + _LANE * max(lanes, 3)


def _draw_run(figure: Figure, panel: Axes, folded: FoldedRun, corner: tuple[float, float], wide: float) -> None:
    """Draws a run from its upper left corner down."""
    (left, top), chosen, run = corner, folded.chosen, folded.run
    middle = left + wide / 2
    name = f"{run['model']} on {run['dataset']}, seed {run['seed']}"
    title = f"{name}, folded at similarity {folded.threshold:g} of {folded.of}"
    panel.text(middle, top - 0.25, title, ha="center", fontsize=9)
    counts = f"{chosen.distinct_layers} layers in place of {chosen.layers}{_errors(folded)}"
    panel.text(middle, top - 0.48, counts, ha="center", fontsize=8)
    legend = "folded: on to the layer below, but along a coloured way once as many layers have run as stand by it"
    panel.text(middle, top - 0.68, legend, ha="center", fontsize=7)
    top -= _HEADLINE
    for (stage, loops), tall in zip(chosen.stages.items(), _heights(folded), strict=True):
        panel.text(left + 0.2, top - 0.12, f"{stage or 'network'}: {loops}", fontsize=8, va="center")
        own, begin = folded.own_layers.get(stage, 0), top - _HEADING - _BOX_HEIGHT / 2
        _draw_unrolled(panel, loops, own, left + _COLUMN / 2, begin)
        for column, group in enumerate(_groups_of(folded, stage), start=1):
            _draw_matrix(figure, folded, group, left + column * _COLUMN + 0.3, top - _HEADING)
        _draw_folded(panel, loops, own, left + _columns(folded) * _COLUMN + 0.8, begin)
        top -= tall


def _errors(folded: FoldedRun) -> str:
    """Test error before and after, where this threshold was measured."""
    for row in folded.costs:
        if row["threshold"] == folded.threshold:
            return f"; test error {row['error_before']:.2f} % before, {row['error_after']:.2f} % after"
    return ""


def draw_cost(folded: FoldedRun) -> Figure:
    """Test error against threshold, and the smallest error at each number of layers."""
    before, rows = folded.costs[0], [row for row in folded.costs if row["threshold"] is not None]
    kinds = [("error_after", "statistics as trained", "o-", "#1f77b4")]
    if before["error_reestimated"] is not None:
        kinds.append(("error_reestimated", "statistics estimated anew", "s--", "#d62728"))
    figure = Figure(figsize=(8.4, 3.6))
    left, right = axis(figure, 0.7, 0.6, 3.2, 2.5), axis(figure, 4.8, 0.6, 3.2, 2.5)
    for key, label, style, colour in kinds:
        left.plot(
            [row["threshold"] for row in rows], [row[key] for row in rows], style, ms=4, lw=1, label=label, c=colour
        )
        smallest: dict[int, float] = {}
        for row in rows:
            smallest[row["layers"]] = min(row[key], smallest.get(row["layers"], row[key]))
        layers = sorted(smallest)
        right.plot(layers, [smallest[count] for count in layers], style, ms=4, lw=1, c=colour)
    for panel, text in ((left, "similarity at which layers become one"), (right, "layers left")):
        panel.axhline(before["error_before"], color="black", lw=0.8, ls=":", label="not folded")
        panel.set_xlabel(text, fontsize=8)
        panel.set_ylabel("test error (%)", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.grid(alpha=0.3, lw=0.5)
    left.legend(fontsize=7)
    left.set_title("every threshold", fontsize=8)
    right.set_title("the smallest error at each number of layers", fontsize=8)
    run = folded.run
    title = (
        f"What folding costs: {run['model']} on {run['dataset']}, seed {run['seed']}, {folded.test_images} test images"
    )
    figure.text(0.5, 0.95, title, ha="center", fontsize=9)
    return figure


def _groups_of(folded: FoldedRun, stage: str) -> list[str]:
    return [group for group in folded.similarity if group == stage or group.startswith(f"{stage} ")]


def _colours(loops: Loops) -> dict[str, str]:
    """A light colour for each layer that is run more than once; white for the rest."""
    palette = matplotlib.colormaps["Pastel1"]
    repeated = [layer for layer in loops.distinct if loops.sequence.count(layer) > 1]
    colours = {layer: matplotlib.colors.to_hex(palette(index % 8)) for index, layer in enumerate(repeated)}
    return {layer: colours.get(layer, "white") for layer in loops.distinct}


def _draw_unrolled(panel: Axes, loops: Loops, own: int, x: float, top: float) -> None:
    colours = _colours(loops)
    boxes = [("own", "#d9d9d9")] * own + [(layer, colours[layer]) for layer in loops.sequence]
    for index, (text, colour) in enumerate(boxes):
        y = top - index * _STEP
        _draw_box(panel, x, y, text, colour)
        if index >= own:
            panel.text(x - _BOX_WIDTH / 2 - 0.08, y, str(index - own + 1), fontsize=6, ha="right", va="center")
        if index:
            _draw_step(panel, x, y)


def _draw_folded(panel: Axes, loops: Loops, own: int, x: float, top: float) -> None:
    colours = _colours(loops)
    place = {layer: top - (own + index) * _STEP for index, layer in enumerate(loops.distinct)}
    taken = set(itertools.pairwise(loops.sequence))
    for index in range(own):
        _draw_box(panel, x, top - index * _STEP, "own", "#d9d9d9")
        if index:
            _draw_step(panel, x, top - index * _STEP)
    for index, (layer, y) in enumerate(place.items()):
        _draw_box(panel, x, y, layer, colours[layer])
        if (index and (loops.distinct[index - 1], layer) in taken) or (not index and own):
            _draw_step(panel, x, y)
    side, levels = x + _BOX_WIDTH / 2, _BOX_HEIGHT / 4
    for order, jump in enumerate(loops.jumps):
        colour, reach = _WAYS[order % len(_WAYS)], side + 0.25 + _LANE * order
        start, end = place[jump.source] - levels, place[jump.target] + levels  # out below the middle, in above it
        panel.plot([side, reach, reach, side + 0.03], [start, start, end, end], c=colour, lw=1.3)
        _draw_arrow(panel, (side + 0.12, end), (side + 0.02, end), colour)
    for order, jump in enumerate(loops.jumps):  # over all ways, so that none strikes a label through
        reach, middle = side + 0.25 + _LANE * order, (place[jump.source] + place[jump.target]) / 2
        text = ",".join(map(str, jump.steps)) if jump.times < 5 else f"{jump.steps[0]},...,{jump.steps[-1]}"
        white = {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none"}
        colour = _WAYS[order % len(_WAYS)]
        if jump.source == jump.target:  # its way is no higher than a label
            panel.text(reach + 0.04, middle, text, fontsize=6, c=colour, ha="left", va="center")
        else:
            panel.text(reach, middle, text, fontsize=6, c=colour, ha="center", va="center", bbox=white)
    if loops.sequence:
        y = place[loops.sequence[-1]]
        _draw_arrow(panel, (x - _BOX_WIDTH / 2, y), (x - _BOX_WIDTH / 2 - 0.3, y), "black")
        panel.text(x - _BOX_WIDTH / 2 - 0.33, y, "out", fontsize=6, ha="right", va="center")


def _draw_matrix(figure: Figure, folded: FoldedRun, group: str, left: float, top: float) -> None:
    matrix = folded.similarity[group]
    side = 1.7
    panel = axis(figure, left, top - side, side, side)
    panel.pcolormesh(matrix, cmap="gray", vmin=0.0, vmax=1.0, edgecolors="face", linewidth=0.2)
    ticks = [index + 0.5 for index in range(len(matrix))]
    labels = [str(index + 1) for index in range(len(matrix))]
    panel.set(xlim=(0, len(matrix)), ylim=(len(matrix), 0))
    panel.set_xticks(ticks, labels, fontsize=5)
    panel.set_yticks(ticks, labels, fontsize=5)
    panel.tick_params(length=0, pad=1)


def _draw_box(panel: Axes, x: float, y: float, text: str, colour: str) -> None:
    corner = (x - _BOX_WIDTH / 2, y - _BOX_HEIGHT / 2)
    box = FancyBboxPatch(
        corner, _BOX_WIDTH, _BOX_HEIGHT, "round,pad=0,rounding_size=0.05", fc=colour, ec="black", lw=0.7
    )
    panel.add_patch(box)
    panel.text(x, y, text, ha="center", va="center", fontsize=7)


def _draw_step(panel: Axes, x: float, y: float) -> None:
    _draw_arrow(panel, (x, y + _STEP - _BOX_HEIGHT / 2), (x, y + _BOX_HEIGHT / 2), "black")


def _draw_arrow(panel: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    arrow = FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=7, lw=1.0, color=colour, shrinkA=0, shrinkB=0)
    panel.add_patch(arrow)
