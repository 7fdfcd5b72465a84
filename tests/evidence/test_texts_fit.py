"""No text of a figure leaves it, however long what it has to say."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from softshare.evidence.figures.drawing import DPI, broken, drawing_style, fitted, line_height, write
from softshare.evidence.figures.parameters import draw_parameters, parameter_points
from softshare.evidence.foldings.runs import FoldedCellRun, draw_folding
from softshare.evidence.paths.figures import draw_paths
from softshare.evidence.paths.runs import PathRow, path_rows
from softshare.evidence.paths.scores import PathScores
from softshare.evidence.paths.statistics_figure import draw_statistics
from softshare.evidence.runs.gather import gather
from softshare.evidence.runs.runfolder import Record, State
from softshare.evidence.similarity.figures import Block, draw_similarity
from softshare.plan import load_plan
from softshare.scales import Setting

SETTING = Setting("shortest-paths", "scnn-20", "paths")
LONG = {
    "words": "history.csv tells of 49 epochs, not of 50; " * 15,
    "a path": "/" + "a-folder-of-a-folder/" * 20,
    "wide letters": "W" * 300,
    "dollars": r"$\frac{1}{2$ costs $ 3 " * 20,
    "several lines": "cannot be read\n" * 3 + "W" * 300,
}


def leaving(figure: Figure) -> list[str]:
    """The texts and panels, with all that is written at them, that leave a figure drawn as pixels."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DPI)
    canvas.draw()
    width, height = canvas.get_width_height()
    renderer = canvas.get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in figure.texts]
    boxes += [(axes.get_title(), axes.get_tightbbox(renderer)) for axes in figure.axes]
    return [f"{name}: {box}" for name, box in boxes if box.x0 < 0 or box.x1 > width or box.y0 < 0 or box.y1 > height]


def path_row(label: str, *missing: str, trained: bool = True) -> PathRow:
    scores = PathScores((3, 5), np.full((2, 4), 0.5), np.full((2, 2), 0.5))
    return PathRow(label, SETTING, SETTING, {0: scores} if trained else {}, {0: Path("absent")}, missing)


def test_the_guard_sees_a_text_that_leaves() -> None:
    figure = Figure(figsize=(3, 1))
    figure.text(0.5, 0.5, "too long for three inches of paper, by far", ha="center", fontsize=14)
    assert len(leaving(figure)) == 1


@pytest.mark.parametrize("case", LONG)
def test_batch_norms_statistics(case: str) -> None:
    rows = [path_row(label, LONG[case], trained=False) for label in ("CNN", "SCNN", "SCNN-R")]
    with drawing_style():
        figure = draw_statistics("statistics", rows)
    assert leaving(figure) == []
    heights = sorted(text.get_window_extent().y0 for text in figure.texts)
    assert len(heights) >= 4 and min(np.diff(heights)) > 0  # a line each, none over another


def test_seeds_left_out_are_told_as_ranges(tmp_path: Path) -> None:
    plan = load_plan("paper", ["figure5"])
    rows = path_rows(gather(plan, tmp_path).cells["figure5"], tmp_path)
    assert rows[0].missing == ("seeds 0 to 9: not run",)
    with drawing_style():
        figure = draw_paths("Figure 5", rows)
    assert "SCNN-R: left out: seeds 0 to 9: not run" in [text.get_text() for text in figure.texts]
    assert leaving(figure) == []


@pytest.mark.parametrize("case", LONG)
def test_shortest_paths(case: str) -> None:
    rows = [path_row("CNN", LONG[case]), path_row("a label of many words, " * 3), path_row("RNN", trained=False)]
    with drawing_style():
        figure = draw_paths(LONG[case], rows)
    assert leaving(figure) == []
    foot = [text for text in figure.texts if text.get_fontsize() == 6]
    heights = sorted(text.get_window_extent().y0 for text in foot)
    assert len(foot) >= 4 and min(np.diff(heights)) > 0  # a line each, none over another


@pytest.mark.parametrize("case", LONG)
def test_similarity(case: str) -> None:
    panels = {"columns": ("epoch 1", "epoch 2"), "labels": ("stage1",), "matrices": (np.zeros((2, 3, 3)),)}
    blocks = [Block(LONG[case], **panels), Block("short", instead=LONG[case]), Block("a\nb", **panels)]
    with drawing_style():
        figure = draw_similarity(LONG[case], blocks)
    assert leaving(figure) == []
    texts = sorted((text.get_window_extent() for text in figure.texts), key=lambda box: box.y0)
    assert all(lower.y1 <= upper.y0 for lower, upper in itertools.pairwise(texts))
    panel = figure.axes[0].get_window_extent()
    assert not any(panel.y0 < box.y1 and box.y0 < panel.y1 for box in texts)


@pytest.mark.parametrize("case", LONG)
def test_foldings_that_are_not_there(case: str) -> None:
    plan = load_plan("compact", ["figure4"])
    (cell,) = plan.experiment("figure4").cells
    records = [Record(run, State.UNUSABLE, Path("x"), reason="not run") for run in cell.runs]
    with drawing_style():
        figure = draw_folding(LONG[case], [FoldedCellRun(cell, record, None, LONG[case]) for record in records])
    assert leaving(figure) == []


@pytest.mark.parametrize("scale", ["paper", "compact", "quick"])
def test_parameters(scale: str, tmp_path: Path) -> None:
    plan = load_plan(scale, ["figure3"])
    experiment = replace(plan.experiment("figure3"), title="A title " * 30)
    points = parameter_points(gather(plan, tmp_path), plan.experiment("figure3"))
    with drawing_style():
        figure = draw_parameters(experiment, points, scale, with_paper=plan.scale.is_paper)
    assert leaving(figure) == []


@given(st.text("il W\n", max_size=60), st.floats(0.2, 2), st.floats(0.1, 1))
def test_a_text_is_broken_and_nothing_is_lost(text: str, width: float, height: float) -> None:
    lines = broken(text, 8, width)
    assert [part for line in lines for part in line.split()] == text.split() or any(
        len(word) > len(max(lines, key=len)) for word in text.split()
    )
    assert "".join("".join(lines).split()) == "".join(text.split())
    fits, size = fitted(text, 8, width, height)
    assert 4 <= size <= 8 and fits.count("\n") + 1 <= max(1, int(height / line_height(size)))


def test_what_fits_stays_as_it_is() -> None:
    figure = Figure(figsize=(6, 2))
    write(figure, 3, 1, "two  spaces\nand a line", 9)
    (text,) = figure.texts
    assert text.get_text() == "two  spaces\nand a line" and text.get_fontsize() == 9
