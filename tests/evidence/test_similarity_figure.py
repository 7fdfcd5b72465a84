"""Layer similarity: what is read, what is drawn, and that the bytes depend on the runs alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from softshare.errors import UserError
from softshare.evidence.figures.writing import write_figure
from softshare.evidence.runs.gather import gather
from softshare.evidence.similarity.figures import (
    draw_similarity,
    epochs_shown,
    similarity_blocks,
    standing_for_several,
)
from softshare.evidence.similarity.numbers import shown_similarity
from softshare.evidence.similarity.reading import Similarity, cosine_similarity, describe_run, read_similarity
from softshare.plan import Plan, load_plan
from softshare.recipes import load_recipe
from softshare.scales import load_scale
from softshare.training.recipe import Recipe

MakeRun = Callable[..., Path]


@pytest.fixture
def run_folder(make_run: MakeRun, make_similarity: Callable[..., None], quick_plan: Plan) -> Path:
    folder = make_run(quick_plan.experiment("figure8").cells[0].runs[0], 3.0, "quick")
    make_similarity(folder)
    return folder


def test_worked_similarities() -> None:
    found = cosine_similarity(np.array([[1.0, 0.0], [-2.0, 0.0], [0.0, 3.0], [1.0, 1.0], [0.0, 0.0]]))
    half = np.sqrt(0.5)
    assert found[0] == pytest.approx([1, 1, 0, half, 0])
    assert found[4] == pytest.approx([0, 0, 0, 0, 0])


@given(arrays(np.float64, (5, 3), elements=st.floats(-100, 100).filter(lambda x: x == 0 or abs(x) > 1e-3)))
def test_similarity_is_symmetric_and_blind_to_scale_and_sign(vectors: np.ndarray) -> None:
    found = cosine_similarity(vectors)
    assert np.allclose(found, found.T) and found.min() >= 0 and found.max() <= 1
    scales = np.array([[1.0], [-2.0], [0.5], [-1.0], [7.0]])
    assert np.allclose(found, cosine_similarity(vectors * scales))


def test_stored_similarity_is_read(run_folder: Path) -> None:
    stored = read_similarity(run_folder / "similarity.npz")
    assert stored.epochs == (1, 5, 12) and [g.name for g in stored.groups] == ["stage1", "stage2", "stage3"]
    first = stored.groups[0]
    assert np.allclose(first.coefficients[0], np.eye(4)) and np.allclose(first.coefficients[-1], 1)
    assert first.chance == (0.27, 0.77)


def damage(file: Path, **changes: object) -> None:
    with np.load(file) as stored:
        kept = {name: stored[name] for name in stored.files} | changes
    np.savez(file, **{name: value for name, value in kept.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epochs": None}, "array 'epochs' is missing"),
        ({"stage1/weights": None}, "array 'stage1/weights' is missing"),
        ({"stage1/weights": np.zeros((3, 4, 5))}, "stage1/weights is (3, 4, 5) for 3 epochs and 4 layers"),
        ({"stage1/weights": np.full((3, 4, 4), 2.0)}, "not within 0 and 1"),
        ({"stage1/coefficients": np.full((3, 4, 2), np.nan)}, "holds NaN"),
        ({"stage1/coefficients": np.zeros((2, 4, 2))}, "is (2, 4, 2) for 3 epochs"),
        ({"stage1/chance": np.zeros(3)}, "too many values"),
        ({"epochs": np.array([object()] * 3)}, "allow_pickle=False"),
    ],
)
def test_arrays_that_do_not_fit(changes: dict, told: str, run_folder: Path) -> None:
    damage(run_folder / "similarity.npz", **changes)
    with pytest.raises(UserError) as error:
        read_similarity(run_folder / "similarity.npz")
    assert told in str(error.value)


def test_a_truncated_file_is_told_in_the_figure(run_folder: Path, quick_plan: Plan, tmp_path: Path) -> None:
    file = run_folder / "similarity.npz"
    file.write_bytes(file.read_bytes()[:200])
    (block,) = similarity_blocks(gather(quick_plan, tmp_path).cells["figure8"][0], tmp_path)
    assert "similarity.npz" in block.instead and "truncated" in block.instead and str(tmp_path) not in block.instead


def test_panels_name_epochs_groups_and_chance(run_folder: Path, quick_plan: Plan, tmp_path: Path) -> None:
    coefficients, weights = similarity_blocks(gather(quick_plan, tmp_path).cells["figure8"][0], tmp_path)
    assert coefficients.columns == weights.columns == ("epoch 1", "epoch 5", "epoch 12")
    assert coefficients.labels[1] == "stage2\nchance: mean 0.27,\nmax 0.77"
    assert "digits/swrn-40-1-8/cifar/seed0 in place of cifar10/swrn-40-8-8/cifar" in coefficients.title
    assert "coefficients" in coefficients.title and "effective weights" in weights.title


@given(
    st.sets(st.integers(1, 200), min_size=1, max_size=30),
    st.lists(st.floats(0.001, 1.0), min_size=1, max_size=6),
)
def test_the_nearest_stored_epochs_are_shown(stored: set[int], fractions: list[float]) -> None:
    epochs = tuple(sorted(stored))
    places = epochs_shown(Similarity(epochs, ()), fractions)
    assert places == sorted(set(places))
    for fraction in fractions:
        wanted = max(1, round(fraction * epochs[-1]))
        assert min(abs(epochs[place] - wanted) for place in places) == min(abs(epoch - wanted) for epoch in epochs)
    assert epochs_shown(Similarity(epochs, ()), ()) == list(range(len(epochs)))


def test_figure_8_shows_the_papers_epochs() -> None:
    recipe = Recipe.from_settings(load_recipe("cifar"))
    stored = Similarity(tuple(recipe.similarity_epochs), ())
    shown = epochs_shown(stored, load_plan("paper", ["figure8"]).experiment("figure8").shown_at)
    assert [stored.epochs[place] for place in shown] == [1, 5, 25, 50, 200]


def test_an_epoch_that_stands_for_several_fractions_says_so(
    make_run: MakeRun, make_similarity: Callable[..., None], quick_plan: Plan, tmp_path: Path
) -> None:
    make_similarity(make_run(quick_plan.experiment("figure8").cells[0].runs[0], 3.0, "quick"))  # epochs 1, 5 and 12
    found = gather(quick_plan, tmp_path).cells["figure8"][0]
    for block in similarity_blocks(found, tmp_path, [0.005, 0.025, 0.1, 0.4, 1.0]):
        assert block.columns == ("epoch 1", "epoch 5", "epoch 12")
        assert block.title.endswith("; epoch 1 stands for 0.5, 2.5 and 10 % of the training")
    for block in similarity_blocks(found, tmp_path, [0.1, 0.4, 1.0]):
        assert "stands for" not in block.title
    # Figure 8 at 25 epochs: five fractions, four panels.
    recipe = Recipe.from_settings(load_recipe("cifar", load_scale("compact")))
    shown_at = load_plan("compact", ["figure8"]).experiment("figure8").shown_at
    stored = Similarity(tuple(recipe.similarity_epochs), ())
    assert len(shown_at) == 5 and len(epochs_shown(stored, shown_at)) == 4
    assert standing_for_several(stored, shown_at) == ["epoch 1 stands for 0.5 and 2.5 % of the training"]
    assert standing_for_several(Similarity((1, 5, 25, 50, 200), ()), shown_at) == []


def test_seeds_stand_beside_each_other_where_one_epoch_is_shown(
    make_run: MakeRun, make_similarity: Callable[..., None], tmp_path: Path
) -> None:
    plan = load_plan("paper", ["figure7"])
    runs = plan.experiment("figure7").cells[0].runs
    for run in (runs[0], runs[3]):
        make_similarity(make_run(run, 4.0))
    make_run(runs[1], 4.1)
    coefficients, weights = similarity_blocks(gather(plan, tmp_path).cells["figure7"][0], tmp_path, [1.0])
    assert coefficients.columns == weights.columns == ("seed 0", "seed 3")
    assert all(np.shape(row) == (2, 4, 4) and np.allclose(row, 1) for row in coefficients.matrices)
    assert all(np.allclose(row, np.eye(4)) for row in weights.matrices)
    left_out = "seed 1: nothing stored: the network shares nothing; seeds 2 and 4: not run"
    assert left_out in coefficients.title and "in place of" not in coefficients.title


def test_groups_stand_beside_each_other_where_one_seed_is_there(
    make_run: MakeRun, make_similarity: Callable[..., None], tmp_path: Path
) -> None:
    plan = load_plan("paper", ["figure7"])
    make_similarity(make_run(plan.experiment("figure7").cells[0].runs[3], 4.0))
    found = gather(plan, tmp_path).cells["figure7"][0]
    coefficients, weights = similarity_blocks(found, tmp_path, [1.0])
    assert coefficients.labels == weights.labels == ("seed 3",)
    names = ("stage1", "stage2", "stage3")
    assert coefficients.columns == names and np.shape(coefficients.matrices) == (1, len(names), 4, 4)
    assert "mean and max by chance: " in coefficients.title
    assert len(draw_similarity("title", [coefficients]).axes) == len(names) + 1  # and the colours' bar


def test_the_whole_trajectory_is_kept_as_data(run_folder: Path, quick_plan: Plan, tmp_path: Path) -> None:
    write_figure(quick_plan, "figure8", tmp_path, tmp_path)
    frame = pd.read_csv(tmp_path / "figure8.csv")
    assert len(frame) == 3 * 3 * 2 * 6 and set(frame["epoch"]) == {1, 5, 12}  # the figure shows two of them
    assert (frame["layer"] < frame["other"]).all() and set(frame["chance_mean"]) == {0.27}
    coefficients = frame[frame["of"] == "coefficients"].groupby("epoch")["similarity"]
    assert coefficients.max().loc[1] == 0 and coefficients.min().loc[12] == 1
    assert (frame[frame["of"] == "weights"]["similarity"] == 0).all()


@pytest.mark.parametrize("state", ["there", "absent", "plain"])
def test_the_same_runs_give_the_same_bytes(
    state: str, make_run: MakeRun, make_similarity: Callable[..., None], quick_plan: Plan, tmp_path: Path
) -> None:
    if state != "absent":
        folder = make_run(quick_plan.experiment("figure8").cells[0].runs[0], 3.0, "quick")
        make_similarity(folder, groups=0 if state == "plain" else 2)
    sums = []
    for name in ("one", "two"):
        files = write_figure(quick_plan, "figure8", tmp_path, tmp_path / name)
        assert [file.name for file in files] == [f"figure8.{ending}" for ending in ("svg", "png", "pdf", "csv")]
        sums.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
        assert {file.name for file in (tmp_path / name).iterdir()} == {file.name for file in files}
    assert sums[0] == sums[1]
    head = (tmp_path / "one" / "figure8.svg").read_text()
    assert "dc:date" not in head and b"CreationDate" not in (tmp_path / "one" / "figure8.pdf").read_bytes()


def test_one_is_white_and_zero_is_black(run_folder: Path, quick_plan: Plan, tmp_path: Path) -> None:
    write_figure(quick_plan, "figure8", tmp_path, tmp_path)
    with Image.open(tmp_path / "figure8.png") as picture:
        grey = np.asarray(picture.convert("L"))
    # A row through the second layer of the first panels: black, white (itself), black, black at epoch 1.
    inches = 0.5 + 0.55 + 1.25 * 3 / 8
    row = grey[round(inches * 150)]
    first = [int(row[round((0.8 + 1.25 * (layer + 0.5) / 4) * 150)]) for layer in range(4)]
    last = [int(row[round((0.8 + 1.5 + 1.25 * (layer + 0.5) / 4) * 150)]) for layer in range(4)]
    assert first == [0, 255, 0, 0] and last == [255] * 4


def test_no_such_figure(quick_plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no experiment of kind 'similarity'"):
        write_figure(quick_plan, "table1", tmp_path, tmp_path)


def test_a_run_in_words(run_folder: Path, tmp_path: Path) -> None:
    text = describe_run(run_folder)
    assert text.startswith("epoch 12") and "stage3: chance level mean 0.27, maximum 0.77" in text
    assert "1.00 1.00 1.00 1.00" in text
    assert "0.00 1.00 0.00 0.00" in describe_run(run_folder, 1)
    with pytest.raises(UserError, match="stored: 1, 5, 12"):
        describe_run(run_folder, 7)
    with pytest.raises(UserError, match="no such folder"):
        describe_run(tmp_path / "nowhere")
    (run_folder / "similarity.npz").unlink()
    with pytest.raises(UserError, match="holds no similarity"):
        describe_run(run_folder)


def test_matrices_are_told_in_numbers_beside_the_error(run_folder: Path, quick_plan: Plan, tmp_path: Path) -> None:
    cells = gather(quick_plan, tmp_path).cells["figure8"]
    rows = shown_similarity(cells, tmp_path)
    assert [(row["Epoch"], row["Group"]) for row in rows] == [
        (str(epoch), f"stage{stage}") for epoch in (1, 5, 12) for stage in (1, 2, 3)
    ]
    first, between, last = rows[0], rows[3], rows[6]
    assert (first["Mean"], first["Largest"], first["Pairs from 0.9"]) == ("0.00", "0.00", "0 of 6")
    # Half the identity and half ones: rows such as (1, .5, .5, .5), whose cosine is 1.5 / 1.75.
    assert between["Mean"] == between["Largest"] == "0.86" and between["Layers at 0.8"] == "1 of 4"
    assert (last["Mean"], last["Pairs from 0.9"], last["Layers at 0.8"]) == ("1.00", "6 of 6", "1 of 4")
    assert first["By chance"] == "0.27, 0.77" and first["Layers at 0.8"] == "4 of 4"
    assert [row["Test error (%)"] for row in rows] == [""] * 6 + ["3.00"] * 3
    assert [row["Epoch"] for row in shown_similarity(cells, tmp_path, (0.1, 1.0))] == ["1"] * 3 + ["12"] * 3


def test_what_was_not_run_has_no_numbers(quick_plan: Plan, tmp_path: Path) -> None:
    assert shown_similarity(gather(quick_plan, tmp_path).cells["figure8"], tmp_path) == []
