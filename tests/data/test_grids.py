"""Shortest paths on batches of grids, against networkx grid by grid."""

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softshare.data.grids import pack, shortest_path_points, single_cells, unpack

GRIDS = 60  # an example of hypothesis
MOVES = [(1, 0), (0, 1), (0, -1), (-1, 0)]  # down, right, left, up


def random_grids(side, probability, seed, count=GRIDS):
    """Free cells [N, side, side] and two of them a grid [N, 2], which may be the same."""
    random = np.random.default_rng(seed)
    free = random.random((count, side, side)) >= probability
    ends = random.integers(side * side, size=(count, 2))
    free.reshape(count, -1)[np.arange(count)[:, None], ends] = True
    return free, ends


def solve(free, ends, paths="all"):
    side = free.shape[1]
    start, goal = single_cells(ends[:, 0], side), single_cells(ends[:, 1], side)
    points, reached = shortest_path_points(pack(free), start, goal, paths)
    return unpack(points), reached


def graph_of(free):
    graph = nx.grid_2d_graph(*free.shape)
    graph.remove_nodes_from([tuple(cell) for cell in np.argwhere(~free).tolist()])
    return graph


def by_distances(free, start, goal):
    """A cell is on a shortest path if its distances to the two ends add up to theirs."""
    points = np.zeros(free.shape, np.uint8)
    graph = graph_of(free)
    near_start, near_goal = (nx.single_source_shortest_path_length(graph, end) for end in (start, goal))
    for cell in near_start.keys() & near_goal.keys():
        points[cell] = near_start[cell] + near_goal[cell] == near_start[goal]
    return points


def cells(ends, side):
    return [(int(end) // side, int(end) % side) for end in ends]


def check(free, ends):
    points, reached = solve(free, ends)
    for number in range(len(free)):
        expected = by_distances(free[number], *cells(ends[number], free.shape[1]))
        np.testing.assert_array_equal(points[number], expected)
        assert reached[number] == expected.any()


@settings(max_examples=40)
@given(side=st.integers(2, 16), probability=st.floats(0, 0.6), seed=st.integers(0, 2**32))
def test_all_points_of_shortest_paths_are_those_of_networkx(side, probability, seed):
    check(*random_grids(side, probability, seed))


@pytest.mark.parametrize("probability", [0, 0.1, 0.3, 0.4, 0.6])
def test_so_they_are_on_the_papers_grid(probability):
    check(*random_grids(32, probability, seed=1, count=200))


@given(side=st.integers(2, 6), probability=st.floats(0, 0.6), seed=st.integers(0, 2**32))
def test_paths_listed_one_by_one(side, probability, seed):
    free, ends = random_grids(side, probability, seed, count=20)
    union, _ = solve(free, ends, "all")
    one, reached = solve(free, ends, "one")
    for number in range(len(free)):
        graph, (start, goal) = graph_of(free[number]), cells(ends[number], side)
        if not nx.has_path(graph, start, goal):
            assert not reached[number] and not union[number].any() and not one[number].any()
            continue
        paths = list(nx.all_shortest_paths(graph, start, goal))
        first = min(paths, key=lambda path: [MOVES.index(move) for move in moves_of(path)])
        assert reached[number]
        assert {tuple(cell) for cell in np.argwhere(union[number]).tolist()} == set().union(*paths)
        assert {tuple(cell) for cell in np.argwhere(one[number]).tolist()} == set(first)


def moves_of(path):
    return [(y - v, x - u) for (v, u), (y, x) in itertools.pairwise(path)]


@pytest.mark.parametrize("paths", ["all", "one"])
def test_the_longest_way_round(paths):
    free = np.ones((1, 32, 32), bool)
    free[0, 1::2] = False
    free[0, 1::4, 31] = free[0, 3::4, 0] = True  # a snake from the first row to the one before the last
    free[0, 31] = False
    points, reached = solve(free, np.array([[0, 30 * 32]]), paths)
    assert reached.all() and points[0].sum() == free.sum() == 16 * 32 + 15
    np.testing.assert_array_equal(points[0], free[0])


@pytest.mark.parametrize("side", [2, 31, 32])
def test_borders_are_not_joined(side):
    free = np.zeros((1, side, side), bool)
    free[0, 0, -1] = free[0, 1, 0] = True  # neighbours in memory, not in the grid
    points, reached = solve(free, np.array([[side - 1, side]]))
    assert not reached[0] and not points.any()


@given(side=st.integers(1, 32), seed=st.integers(0, 2**32))
def test_bits_round_trip(side, seed):
    cells = np.random.default_rng(seed).random((3, side, side)) < 0.5
    np.testing.assert_array_equal(unpack(pack(cells)), cells)
    index = seed % (side * side)
    assert unpack(single_cells(np.array([index]), side)).reshape(-1).nonzero()[0].tolist() == [index]
