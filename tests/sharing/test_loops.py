"""Clusters of layers, and the loops in sequences of them."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from softshare.sharing.clusters import cluster_layers
from softshare.sharing.loops import Jump, Loop, Loops, find_loops, layer_name


@pytest.mark.parametrize(
    ("sequence", "written", "distinct"),
    [
        ("ababab", "(a b) x 3", 2),  # stage 2 of the paper's SWRN 28-10-4 (section 4.3)
        ("aaaaaa", "(a) x 6", 1),  # k = 1: one layer with a self-loop
        ("abcdcdabcd", "a b (c d) x 2 a b c d", 4),  # stage 2 of the paper's SWRN 40-8-8 (Figure 6)
        ("abcdef", "a b c d e f", 6),
        ("aabaabaab", "((a) x 2 b) x 3", 2),
        ("abcbcdbcbcd", "a ((b c) x 2 d) x 2", 4),
        ("ababa", "(a b) x 2 a", 2),
        ("abac", "a b a c", 3),
        ("xyxyz", "(a b) x 2 c", 3),
        ("a", "a", 1),
        ("", "", 0),
    ],
)
def test_sequences_with_known_loops(sequence, written, distinct):
    loops = find_loops(sequence)
    assert str(loops) == written
    assert len(loops.distinct) == distinct
    assert loops.is_recurrent == (distinct < len(sequence))


def test_figure_6_returns_in_the_order_taken():
    # "layers 3, 4, 5 and 6 can be folded into layers 3 and 4 with a loop; after it the flow returns to layer 1".
    assert find_loops([1, 2, 3, 4, 3, 4, 1, 2, 3, 4]).jumps == (Jump("d", "c", (4,)), Jump("d", "a", (6,)))
    assert find_loops("ababab").jumps == (Jump("b", "a", (2, 4)),)
    assert find_loops("abac").jumps == (Jump("b", "a", (2,)), Jump("a", "c", (3,)))


def test_loops_are_values():
    loops = find_loops("xyxyxy")
    assert loops == find_loops([3, 1] * 3) == Loops((Loop(("a", "b"), 3),))
    assert loops != find_loops("xyxy") and hash(loops) == hash(find_loops("uvuvuv"))


def _ways(sequence):
    """Every way to write a sequence with loops: (layers, loops) of each; grows fast."""
    if not sequence:
        return {(0, 0)}
    costs = set()
    for head in range(1, len(sequence) + 1):
        heads = {(1, 0)} if head == 1 else set()
        for trips in range(2, head + 1):
            if head % trips == 0 and sequence[:head] == sequence[: head // trips] * trips:
                heads |= {(layers, loops + 1) for layers, loops in _ways(sequence[: head // trips])}
        costs |= {(a + c, b + d) for a, b in heads for c, d in _ways(sequence[head:])}
    return costs


def _cost(items):
    parts = [(1, 0) if isinstance(item, str) else (_cost(item.body)[0], _cost(item.body)[1] + 1) for item in items]
    return sum(layers for layers, _ in parts), sum(loops for _, loops in parts)


@given(st.lists(st.integers(0, 2), max_size=9))
@settings(max_examples=60, deadline=None)
def test_no_shorter_way_exists_and_unrolling_gives_the_sequence_back(labels):
    loops = find_loops(labels)
    names = {label: layer_name(index) for index, label in enumerate(dict.fromkeys(labels))}
    assert loops.sequence == tuple(names[label] for label in labels)
    assert _cost(loops.items) == min(_ways(tuple(labels)))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=14))
def test_jumps_and_steps_are_all_ways_taken(labels):
    loops = find_loops(labels)
    place = {layer: index for index, layer in enumerate(loops.distinct)}
    pairs = list(itertools.pairwise(loops.sequence))
    steps = sum(place[b] == place[a] + 1 for a, b in pairs)
    assert sum(jump.times for jump in loops.jumps) + steps == len(pairs)
    assert all(pairs[step - 1] == (jump.source, jump.target) for jump in loops.jumps for step in jump.steps)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_the_sequence_follows_from_the_layers_the_jumps_and_where_it_ends(labels):
    # What a drawing shows is enough to tell what is run.
    loops = find_loops(labels)
    jump_at = {step: jump.target for jump in loops.jumps for step in jump.steps}
    walked = [loops.distinct[0]]
    while len(walked) < len(labels):
        below = loops.distinct.index(walked[-1]) + 1
        walked.append(jump_at.get(len(walked)) or loops.distinct[below])
    assert tuple(walked) == loops.sequence


def test_names_go_on_after_z():
    assert [layer_name(index) for index in (0, 25, 26, 27, 52, 701, 702)] == ["a", "z", "aa", "ab", "ba", "zz", "aaa"]


@st.composite
def _similarity(draw):
    size = draw(st.integers(1, 8))
    vectors = draw(arrays.arrays(float, (size, 3), elements=st.floats(-1, 1)))
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 1e-9)
    return np.clip(np.abs(unit @ unit.T), 0, 1)


@given(_similarity(), st.floats(0, 1))
def test_every_pair_in_a_cluster_is_similar_enough_and_no_two_clusters_could_merge(matrix, threshold):
    clusters = cluster_layers(matrix, threshold)
    members = {own: [i for i, other in enumerate(clusters) if other == own] for own in clusters}
    assert list(members) == list(range(len(members)))  # numbered in the order of their first layers
    for layers in members.values():
        for i, j in itertools.combinations(layers, 2):
            assert matrix[i, j] >= threshold - 1e-11
    for one, other in itertools.combinations(members.values(), 2):
        assert min(matrix[i, j] for i in one for j in other) < threshold + 1e-9


def test_a_chain_of_likenesses_makes_no_cluster_of_unlike_layers():
    matrix = np.array([[1.0, 0.9, 0.1], [0.9, 1.0, 0.85], [0.1, 0.85, 1.0]])
    assert cluster_layers(matrix, 0.8) == (0, 0, 1)
    assert cluster_layers(matrix, 0.0) == (0, 0, 0)
    assert cluster_layers(matrix, 0.95) == (0, 1, 2)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), "0.8", True, None, np.float32(1.5)])
def test_a_threshold_that_is_none_is_refused(threshold):
    with pytest.raises(ValueError, match=r"a threshold of similarity lies in \[0, 1\]"):
        cluster_layers(np.eye(3), threshold)


def test_thresholds_of_numpy_are_numbers_and_nan_in_a_matrix_is_told():
    assert cluster_layers(np.eye(3), np.float32(0.5)) == cluster_layers(np.eye(3), 1) == (0, 1, 2)
    with pytest.raises(ValueError, match="NaN"):
        cluster_layers(np.full((3, 3), np.nan), 0.5)


def test_at_threshold_1_alike_is_not_equal():
    angle = 1e-4
    matrix = [[1.0, np.cos(angle)], [np.cos(angle), 1.0]]
    assert cluster_layers(matrix, 1.0) == (0, 1)


@pytest.mark.parametrize("matrix", [np.ones((2, 3)), np.ones(4), [[1.0, 0.2], [0.9, 1.0]]])
def test_what_is_no_similarity_matrix_is_refused(matrix):
    with pytest.raises(ValueError, match="symmetric"):
        cluster_layers(matrix, 0.8)
