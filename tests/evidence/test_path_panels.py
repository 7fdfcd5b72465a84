"""What Figure 5 draws: curves that can be told apart, differences paired by seed, an example worth looking at."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from test_texts_fit import LONG, SETTING, leaving

from softshare.evidence.figures.drawing import drawing_style
from softshare.evidence.paths.curve_panels import draw_curves, worth_enlarging
from softshare.evidence.paths.differences import RUNNING, Difference
from softshare.evidence.paths.figures import _farthest, draw_paths
from softshare.evidence.paths.matrix_panels import differences_of, draw_matrices, matrices_of
from softshare.evidence.paths.runs import PathRow
from softshare.evidence.paths.scores import PathScores
from softshare.evidence.statistics import TTest

PHASES, EPOCHS = 3, 5


def row_of(label: str, f1: dict[int, float], seed_of_numbers: int = 0) -> PathRow:
    """A network whose F1 scatters a little around a value, by seed."""
    random = np.random.default_rng(seed_of_numbers)
    scores = {
        seed: PathScores(
            (3, 5, 7), np.clip(random.normal(value, 0.02, (PHASES, EPOCHS)), 0, 1), random.random((PHASES, PHASES))
        )
        for seed, value in f1.items()
    }
    return PathRow(label, SETTING, SETTING, scores, dict.fromkeys(scores, Path("absent")), ())


PAIRED = TTest(0.1, 0.01, 2.0, (3,), 3)
NONE = PathRow("RNN", SETTING, SETTING, {}, {}, ("not run",))


@pytest.mark.parametrize(
    ("rows", "worth"),
    [
        ([row_of("CNN", {0: 0.97}), row_of("SCNN", {0: 0.98}), NONE], True),
        ([row_of("CNN", {0: 0.97}), row_of("SCNN", {0: 0.6})], False),
        ([NONE], False),
    ],
)
def test_curves_are_enlarged_where_all_lie_high(rows: list[PathRow], worth: bool) -> None:
    assert worth_enlarging(rows) is worth
    with drawing_style():
        figure = draw_paths("Figure 5", rows)
    lowest = [axes.get_ylim()[0] for axes in figure.axes if axes.get_lines()]
    assert lowest == ([0.0, 0.9] if worth else [0.0] if rows[0].scores else [])


def test_bands_keep_to_what_f1_can_be() -> None:
    rows = [row_of("CNN", {0: 0.99, 1: 0.2}), row_of("SCNN", {0: 0.01, 1: 0.7}, 1)]
    panel = Figure().add_subplot()
    draw_curves(panel, rows)
    heights = [band.get_paths()[0].vertices[:, 1] for band in panel.collections]
    assert len(heights) == 2 and all(each.min() >= 0 and each.max() <= 1 for each in heights)


@given(st.integers(1, 6), st.integers(1, 80))
def test_no_two_networks_are_marked_at_one_epoch(networks: int, epochs: int) -> None:
    def row(index: int) -> PathRow:
        scores = {0: PathScores((3,), np.full((1, epochs), 0.5), np.full((1, 1), 0.5))}
        return PathRow(f"network {index}", SETTING, SETTING, scores, {0: Path("absent")}, ())

    panel = Figure().add_subplot()
    draw_curves(panel, [row(index) for index in range(networks)])
    starts = [line.get_markevery() for line in panel.get_lines() if line.get_marker() not in ("None", "")]
    marked = [epoch for start, apart in starts for epoch in range(start, epochs, apart)]
    assert len(starts) == networks and len(marked) == len(set(marked))


def test_differences_are_of_the_seeds_that_both_have() -> None:
    ours, base = row_of("SCNN", {0: 0.5, 2: 0.5, 5: 0.5}, 1), row_of("CNN", {2: 0.5, 0: 0.5, 7: 0.5}, 2)
    alone = row_of("RNN", {9: 0.5}, 3)
    found = differences_of([ours, base, alone], [("SCNN", "CNN"), ("RNN", "CNN")])
    wanted = [ours.scores[seed].extrapolation - base.scores[seed].extrapolation for seed in (0, 2)]
    assert list(found) == ["SCNN less CNN (n = 2)"]
    np.testing.assert_allclose(found["SCNN less CNN (n = 2)"], sum(wanted) / 2)


@pytest.mark.parametrize("signed", [False, True])
def test_every_number_of_a_matrix_is_written(signed: bool) -> None:
    rows = [row_of("CNN", {0: 0.5}), row_of("SCNN", {0: 0.5}, 1)]
    matrices = differences_of(rows, [("SCNN", "CNN")]) if signed else matrices_of(rows)
    figure = Figure(figsize=(5, 3))
    draw_matrices(figure, matrices, 0.5, 2.5, signed=signed)
    assert len(figure.axes) == len(matrices)
    for panel, matrix in zip(figure.axes, matrices.values(), strict=True):
        told = [float(text.get_text().replace("\N{MINUS SIGN}", "-")) for text in panel.texts]
        np.testing.assert_allclose(told, matrix.ravel(), atol=5.01e-4)
        (mesh,) = panel.collections
        most = max(0.05, *(abs(each).max() for each in matrices.values()))
        assert mesh.get_clim() == ((-most, most) if signed else (0.0, 1.0))


def test_no_text_leaves_a_figure_with_all_its_panels() -> None:
    words = "a label of many words, " * 3
    rows = [row_of(words, {0: 0.95, 1: 0.97}), row_of("SCNN", {0: 0.96, 1: 0.98}, 1), NONE]
    with drawing_style():
        figure = draw_paths(LONG["words"], rows, [Difference("SCNN", words, RUNNING, {"all": PAIRED}, ())])
    assert leaving(figure) == []
    assert len(figure.axes) == 2 + 2 + 1
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [panel.get_tightbbox(renderer) for panel in figure.axes]
    boxes += [text.get_window_extent(renderer) for text in figure.texts]
    over = [(one, other) for one, other in itertools.combinations(boxes, 2) if one.overlaps(other)]
    assert over == []


queries = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=0, max_size=2)


@given(st.lists(queries, min_size=1, max_size=5))
def test_the_example_is_the_one_with_the_farthest_queries(points: list[list[tuple[int, int]]]) -> None:
    inputs = np.zeros((len(points), 2, 7, 7), np.uint8)
    for example, places in enumerate(points):
        for row, column in places:
            inputs[example, 0, row, column] = 1
    inputs[:, 1] = 1  # obstacles have no part in it

    def apart(places: list[tuple[int, int]]) -> int:
        return max((max(abs(a - c), abs(b - d)) for a, b in places for c, d in places), default=0)

    distances = [apart(places) for places in points]
    assert _farthest(inputs) == distances.index(max(distances))
