"""Claims on layer similarity and folding: matrices with known structure, and none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softshare.evidence.claims import matrices
from softshare.evidence.claims.matrices import off_diagonal, starts
from softshare.evidence.mcnemar import mcnemar
from softshare.evidence.publishing.publish import publish
from softshare.evidence.statistics import change_interval
from softshare.plan import load_plan
from softshare.scales import Run, Setting
from softshare.sharing.similarity import chance_similarity

Judge = Callable[..., Any]
Coefficients = Callable[[int, int, int], np.ndarray]  # of a seed, an epoch and a group
Shared = Callable[..., None]

DEEP, FOUR, ONE, PLAIN = (
    "cifar10/swrn-40-8-8/cifar",
    "cifar10/swrn-28-10-4/cifar",
    "cifar10/swrn-28-10-1/cifar",
    "cifar10/wrn-28-10/cifar",
)
EPOCHS = (1, 5, 25, 50, 200)
SEEDS = range(5)


def start(random: np.random.Generator, layers: int = 10, templates: int = 8) -> np.ndarray:
    """Coefficients [L, k] with orthonormal columns."""
    return np.linalg.qr(random.normal(size=(layers, templates)))[0]


def chess(random: np.random.Generator, layers: int = 10, templates: int = 8) -> np.ndarray:
    """Coefficients of layers that take two weights in turn, or nearly."""
    two = random.normal(size=(2, templates))
    return two[np.arange(layers) % 2] + 0.05 * random.normal(size=(layers, templates))


@pytest.fixture
def shared(make_run: Callable[..., Path]) -> Shared:
    """Makes runs of a shared network whose coefficients at each epoch and group are as told, by seed."""

    def make(
        name: str, coefficients: Callable[[int, int, int], np.ndarray], seeds: Any = SEEDS, groups: int = 3
    ) -> None:
        for seed in seeds:
            folder = make_run(Run(Setting(*name.split("/")), seed), 4 + seed / 100)
            arrays: dict[str, np.ndarray] = {"epochs": np.array(EPOCHS)}
            arrays["groups"] = np.array([f"stage{group + 1}" for group in range(groups)])
            for group in range(groups):
                stored = np.stack([coefficients(seed, epoch, group) for epoch in EPOCHS])
                layers = stored.shape[1]
                arrays[f"stage{group + 1}/coefficients"] = stored
                arrays[f"stage{group + 1}/weights"] = np.broadcast_to(np.eye(layers), (len(EPOCHS), layers, layers))
                arrays[f"stage{group + 1}/chance"] = np.array([0.13, 0.54])
            np.savez(folder / "similarity.npz", **arrays)

    return make


def seeded(*key: int) -> np.random.Generator:
    return np.random.default_rng(list(key))


NEAR_ONE = {"kind": "similarity-near-one", "setting": DEEP, "at_least": 0.9}


def test_hard_sharing_in_every_seed(shared: Shared, judge_claim: Judge) -> None:
    shared(DEEP, lambda seed, epoch, group: chess(seeded(seed, group)))
    found = judge_claim(NEAR_ONE).finding
    assert found.verdict == "reproduced" and found.p < 0.01 and found.n == 5
    assert set(found.details["pairs_by_seed"]) == {"0", "1", "2", "3", "4"}
    assert all(count >= 60 for count in found.details["pairs_by_seed"].values())  # 20 pairs of a colour, 3 groups


@pytest.mark.parametrize(("without", "verdict"), [(1, "close"), (3, "not reproduced"), (5, "not reproduced")])
def test_hard_sharing_in_some_seeds_only(without: int, verdict: str, shared: Shared, judge_claim: Judge) -> None:
    shared(DEEP, lambda seed, epoch, group: _apart() if seed < without else chess(seeded(seed, group)))
    assert judge_claim(NEAR_ONE).finding.verdict == verdict


def test_seeds_that_are_alike_by_chance_alone_are_not_counted(shared: Shared, judge_claim: Judge) -> None:
    """Three of five untrained seeds have a pair of 0.9 or more, which tells neither way."""
    name = "cifar10/swrn-28-10-2/cifar"
    apart = np.array([[np.cos(each), np.sin(each)] for each in np.arange(6) * np.pi / 6])

    def coefficients(seed: int, epoch: int, group: int) -> np.ndarray:
        return start(seeded(seed, group, 7), 6, 2) if seed < 3 else apart

    shared(name, coefficients)
    found = judge_claim({**NEAR_ONE, "setting": name}).finding
    assert found.verdict == "inconclusive" and "in 0 of 5 seeds" in found.sentence
    assert sum(count > 0 for count in found.details["pairs_by_seed"].values()) == 3


def _apart() -> np.ndarray:
    """Ten layers of eight templates, none alike to 0.9."""
    return np.vstack([np.eye(8), np.eye(8)[0] + np.eye(8)[1], np.eye(8)[2] - np.eye(8)[3]])


def test_a_claim_of_two_halves_has_no_small_p_where_one_fails(shared: Shared, judge_claim: Judge) -> None:
    """More alike than a start's, yet no pair to 0.9."""

    def coefficients(seed: int, epoch: int, group: int) -> np.ndarray:
        rows = np.eye(10, 8)
        rows[8:] = [[0.88, 0.475, 0, 0, 0, 0, 0, 0], [0, 0, 0.88, 0.475, 0, 0, 0, 0]]
        return rows

    shared(DEEP, coefficients)
    found = judge_claim(NEAR_ONE).finding
    assert found.verdict == "not reproduced" and found.p == 1.0
    assert max(found.details["p_by_seed"].values()) < 0.05


def test_what_chance_alone_brings_is_no_hard_sharing(shared: Shared, judge_claim: Judge) -> None:
    # Of six layers with two templates some are alike to 0.9 at the start already.
    shared("cifar10/swrn-28-10-2/cifar", lambda seed, epoch, group: start(seeded(seed, group, 7), 6, 2))
    found = judge_claim({**NEAR_ONE, "setting": "cifar10/swrn-28-10-2/cifar"}).finding
    assert found.verdict == "inconclusive" and found.p > 0.05


def test_starts_have_the_chance_level_of_the_library() -> None:
    for layers, templates in ((10, 8), (6, 4), (6, 2)):
        entries = matrices.off_diagonal(matrices.starts(layers, templates))
        expected = chance_similarity(layers, templates)
        assert entries.mean() == pytest.approx(expected.mean, abs=0.01)
        assert entries.max(axis=-1).mean() == pytest.approx(expected.maximum, abs=0.02)


def test_the_p_of_the_largest_similarity_is_right_by_simulation() -> None:
    """Of starts themselves 5 in 100 are at or below 5 %."""
    trials, alarms = 2000, 0
    for trial in range(trials):
        groups = [_cosines(start(seeded(trial, group, 99), 6, 4)) for group in range(3)]
        alarms += matrices.p_of_largest(groups, 4) < 0.05
    assert abs(alarms / trials - 0.05) < 4 * (0.05 * 0.95 / trials) ** 0.5


def _cosines(coefficients: np.ndarray) -> np.ndarray:
    units = coefficients / np.linalg.norm(coefficients, axis=1, keepdims=True)
    return np.abs(units @ units.T)


CHESSBOARD = {"kind": "similarity-chessboard", "setting": DEEP, "at_least": 0.9}


def test_chessboard(shared: Shared, judge_claim: Judge) -> None:
    shared(DEEP, lambda seed, epoch, group: chess(seeded(seed, group)))
    found = judge_claim(CHESSBOARD).finding
    assert found.verdict == "reproduced" and found.p == pytest.approx(1 / 5000) and found.estimate > 0.5
    assert found.details["of_effective_weights"]["p"] == 1  # the identity has no pattern


@pytest.mark.parametrize(("softly", "verdict"), [(2, "reproduced"), (3, "inconclusive"), (5, "inconclusive")])
def test_a_chessboard_without_hard_sharing_tells_nothing(
    softly: int, verdict: str, shared: Shared, judge_claim: Judge
) -> None:
    """Layers two apart are alike by 0.5, which is a pattern; which of them become one it does not tell."""
    own, colour = np.eye(10, 12), np.eye(12)[10 + np.arange(10) % 2]

    def coefficients(seed: int, epoch: int, group: int) -> np.ndarray:
        return own + colour if seed < softly else chess(seeded(seed, group))

    shared(DEEP, coefficients)
    found = judge_claim(CHESSBOARD).finding
    assert found.verdict == verdict and f"in {5 - softly} of 5 seeds any are alike to 0.9" in found.sentence
    assert found.details["p_of_pattern"] == pytest.approx(1 / 5000)
    assert found.p == (1.0 if verdict == "inconclusive" else found.details["p_of_pattern"])


def test_no_chessboard(shared: Shared, judge_claim: Judge) -> None:
    shared(DEEP, lambda seed, epoch, group: start(seeded(seed, group)))
    found = judge_claim(CHESSBOARD).finding
    assert found.verdict == "inconclusive" and found.p > 0.05
    pairs = np.arange(10) // 2
    shared(DEEP, lambda seed, epoch, group: start(seeded(seed, group))[pairs] + 0.01 * start(seeded(seed, group, 1)))
    assert judge_claim(CHESSBOARD).finding.verdict == "not reproduced"


def test_what_rises_with_distance_is_no_chessboard(shared: Shared, judge_claim: Judge) -> None:
    distance = np.abs(np.subtract.outer(np.arange(10), np.arange(10)))
    for slope in (0.05, -0.05):
        assert matrices.chessboard(0.5 + slope * distance) == pytest.approx(0, abs=1e-12)
    angles = np.exp(-0.1 * distance)  # layers the more alike the nearer they are, as coefficients with these cosines
    shared(
        DEEP, lambda seed, epoch, group: np.linalg.cholesky(angles) + 0.001 * seeded(seed, group).normal(size=(10, 10))
    )
    assert judge_claim(CHESSBOARD).finding.verdict != "reproduced"


def test_the_order_s_p_is_right_by_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "PERMUTATIONS", 199)
    trials, alarms = 1000, 0
    for trial in range(trials):
        seeds = {seed: [_cosines(start(seeded(trial, seed, 5), 6, 4))] for seed in range(3)}
        alarms += matrices.against_order(seeds)[1] <= 0.05
    assert abs(alarms / trials - 0.05) < 4 * (0.05 * 0.95 / trials) ** 0.5


@given(st.integers(0, 1000), st.integers(4, 8))
def test_chessboard_by_hand(seed: int, layers: int) -> None:
    matrix = _cosines(seeded(seed).normal(size=(layers, 4)))
    first, second, third = (np.mean([matrix[i, i + by] for i in range(layers - by)]) for by in (1, 2, 3))
    assert matrices.chessboard(matrix) == pytest.approx(second - (first + third) / 2)
    assert matrices.chessboard(np.stack([matrix, matrix]))[1] == pytest.approx(second - (first + third) / 2)


DIFFERS = {"kind": "similarity-differs", "setting": DEEP, "threshold": 0.8}


def test_seeds_differ(shared: Shared, judge_claim: Judge) -> None:
    def folded(seed: int, epoch: int, group: int) -> np.ndarray:
        first, second = divmod(seed, 3)
        rows = np.eye(10)
        rows[9 - second] = rows[first]
        return rows[:, :10]

    shared(DEEP, folded)
    found = judge_claim(DIFFERS).finding
    assert found.verdict == "reproduced" and found.estimate == 1.0 and "10 of 10 pairs of seeds" in found.sentence
    shared(DEEP, lambda seed, epoch, group: folded(min(seed, 1), epoch, group))  # 4 of 10 pairs differ
    assert judge_claim(DIFFERS).finding.verdict == "not reproduced"
    shared(DEEP, lambda seed, epoch, group: folded(max(seed, 1), epoch, group))
    assert judge_claim(DIFFERS).finding.verdict == "close"  # seeds 0 and 1 alone are the same


def test_seeds_that_fold_nothing_tell_of_no_difference(shared: Shared, judge_claim: Judge) -> None:
    shared(DEEP, lambda seed, epoch, group: _apart())
    found = judge_claim(DIFFERS).finding
    assert found.verdict == "inconclusive" and "0 of 5 seeds of" in found.sentence

    def one_folds(seed: int, epoch: int, group: int) -> np.ndarray:
        rows = _apart()
        if seed == 0:
            rows[1] = rows[0]
        return rows

    shared(DEEP, one_folds)  # it differs from each of the others, of which the pairs are not counted
    found = judge_claim(DIFFERS).finding
    assert found.verdict == "reproduced" and "4 of 4 pairs of seeds" in found.sentence


RECURS = {"kind": "similarity-recurs", "setting": DEEP, "at_least": 0.3}


def test_seeds_have_a_structure_in_common(shared: Shared, judge_claim: Judge) -> None:
    shared(DEEP, lambda seed, epoch, group: chess(seeded(seed, group)))
    found = judge_claim(RECURS).finding
    assert found.verdict == "reproduced" and found.estimate > 0.5 and found.p < 0.001
    shared(DEEP, lambda seed, epoch, group: np.eye(10))
    assert "no structure" in judge_claim(RECURS).finding.sentence


@pytest.mark.parametrize(
    ("level", "verdict"), [(0.95, "not reproduced"), (0.8, "inconclusive"), (0.6, "close"), (0.3, "reproduced")]
)
def test_the_level_decides_what_recurs(level: float, verdict: str, shared: Shared, judge_claim: Judge) -> None:
    shared(
        DEEP, lambda seed, epoch, group: chess(seeded(seed, group)) + 0.8 * seeded(seed, group, 3).normal(size=(10, 8))
    )
    found = judge_claim({**RECURS, "at_least": level}).finding
    assert found.details["p_of_any"] < 0.001 and found.p == (
        1.0 if verdict != "reproduced" else found.details["p_of_any"]
    )
    assert found.verdict == verdict, found.sentence


def test_starts_have_nothing_in_common(shared: Shared, judge_claim: Judge) -> None:
    shared(DEEP, lambda seed, epoch, group: start(seeded(seed, group)))
    found = judge_claim(RECURS).finding
    assert found.verdict == "not reproduced" and abs(found.estimate) < 0.1


def settling(at: int) -> Callable[[int, int, int], np.ndarray]:
    """Coefficients that are those of a start until an epoch and the final ones from it on."""

    def coefficients(seed: int, epoch: int, group: int) -> np.ndarray:
        return chess(seeded(seed, group)) if epoch >= at else start(seeded(seed, group, 1))

    return coefficients


@pytest.mark.parametrize(
    ("at", "level", "verdict"),
    [(50, 0.95, "reproduced"), (200, 0.95, "not reproduced")],
)
def test_settled_at_a_quarter(at: int, level: float, verdict: str, shared: Shared, judge_claim: Judge) -> None:
    shared(DEEP, settling(at))
    claim = {"kind": "similarity-settled", "setting": DEEP, "after": 0.25, "at_least": level}
    found = judge_claim(claim).finding
    assert found.verdict == verdict and found.details["epoch"] == 50
    assert found.estimate == pytest.approx(1.0) if at == 50 else found.estimate < 0.5
    assert found.details["first_stored_epoch"] == 1 and "after epoch 1 by" in found.sentence


@pytest.mark.parametrize(
    ("level", "verdict"), [(0.95, "not reproduced"), (0.92, "inconclusive"), (0.87, "close"), (0.75, "reproduced")]
)
def test_the_level_decides_what_is_settled(level: float, verdict: str, shared: Shared, judge_claim: Judge) -> None:
    def coefficients(seed: int, epoch: int, group: int) -> np.ndarray:
        return chess(seeded(seed, group)) + (0.5 * seeded(seed, group, 2).normal(size=(10, 8)) if epoch < 200 else 0)

    shared(DEEP, coefficients)
    claim = {"kind": "similarity-settled", "setting": DEEP, "after": 0.025, "at_least": level}
    found = judge_claim(claim).finding
    assert found.details["p_of_any"] < 0.001 and found.details["epoch"] == 5, "each is more than chance"
    assert found.p == (1.0 if verdict != "reproduced" else found.details["p_of_any"])
    assert found.estimate == pytest.approx(0.79, abs=0.02) and found.verdict == verdict, found.sentence


def test_less_than_half_of_what_is_asked_for_is_not_close(shared: Shared, judge_claim: Judge) -> None:
    """Nothing beyond chance is more than twice as far from 1 as 0.5 is: there half of the level counts."""

    def coefficients(seed: int, epoch: int, group: int) -> np.ndarray:
        return chess(seeded(seed, group)) + (1.5 * seeded(seed, group, 2).normal(size=(10, 8)) if epoch < 200 else 0)

    shared(DEEP, coefficients)
    claim = {"kind": "similarity-settled", "setting": DEEP, "after": 0.025, "at_least": 0.5}
    found = judge_claim(claim).finding
    assert found.details["p_of_any"] < 0.001 and found.estimate == pytest.approx(0.19, abs=0.02)
    assert found.verdict == "not reproduced", found.sentence


@pytest.mark.parametrize(
    ("at_most", "verdict"), [(0.05, "not reproduced"), (0.14, "close"), (0.25, "reproduced"), (None, "reproduced")]
)
def test_a_pattern_that_is_there_may_still_be_far_from_its_final_strength(
    at_most: float | None, verdict: str, shared: Shared, judge_claim: Judge
) -> None:
    """Entries of the same pattern, weaker: they correlate with the final ones, and differ by 0.2 or so."""

    def coefficients(seed: int, epoch: int, group: int) -> np.ndarray:
        final = chess(seeded(seed, group))
        final /= np.linalg.norm(final, axis=1, keepdims=True)
        own = np.zeros((10, 18))
        own[:, :8] = final
        own[:, 8:] = 0.0 if epoch == 200 else 0.6 * np.eye(10)  # of each layer alone, which makes all less alike
        return own

    shared(DEEP, coefficients)
    claim = {"kind": "similarity-settled", "setting": DEEP, "after": 0.25, "at_least": 0.95}
    found = judge_claim(claim | ({} if at_most is None else {"apart_at_most": at_most})).finding
    assert found.estimate > 0.99 and found.verdict == verdict, found.sentence
    assert 0.14 < np.mean(list(found.details["apart_by_seed"].values())) < 0.25


def test_where_nothing_has_moved_nothing_has_settled(shared: Shared, judge_claim: Judge) -> None:
    shared(DEEP, lambda seed, epoch, group: start(seeded(seed, group)))  # as it began, so it ends
    claim = {"kind": "similarity-settled", "setting": DEEP, "after": 0.25, "at_least": 0.5}
    found = judge_claim(claim).finding
    assert found.verdict == "inconclusive" and "end with layers more alike than a start's" in found.sentence


def test_an_epoch_that_was_not_stored_is_told(shared: Shared, judge_claim: Judge) -> None:
    shared(DEEP, settling(50))
    found = judge_claim({"kind": "similarity-settled", "setting": DEEP, "after": 0.1, "at_least": 0.5}).finding
    assert found.verdict == "inconclusive" and "hold the similarity after epoch 20 of 200" in found.sentence


def test_one_template_makes_all_layers_one(shared: Shared, judge_claim: Judge) -> None:
    claim = {"kind": "similarity-all-one", "setting": ONE, "at_least": 0.999}
    shared(ONE, lambda seed, epoch, group: seeded(seed, group).normal(size=(6, 1)))
    assert judge_claim(claim).finding.verdict == "reproduced"
    shared(ONE, lambda seed, epoch, group: np.ones((6, 1)) * (np.arange(6)[:, None] != 3))
    assert judge_claim(claim).finding.verdict == "not reproduced"


def test_fewer_templates_are_more_alike(shared: Shared, judge_claim: Judge) -> None:
    six, two = "cifar10/swrn-28-10/cifar-dropout", "cifar10/swrn-28-10-2/cifar-dropout"
    shared(six, lambda seed, epoch, group: np.eye(6) + 0.1 * seeded(seed, group).normal(size=(6, 6)))
    shared(two, lambda seed, epoch, group: start(seeded(seed, group), 6, 2))
    claim = {"kind": "similarity-higher", "lower": six, "higher": two}
    found = judge_claim(claim).finding
    assert found.verdict == "reproduced" and found.estimate > 0.3 and "at the start by 0.5" in found.sentence
    assert judge_claim({**claim, "lower": two, "higher": six}).finding.verdict == "not reproduced"


@pytest.mark.parametrize(("model", "verdict"), [("swrn-28-10", "reproduced"), ("swrn-40-8-8", "not reproduced")])
def test_the_start_is_the_identity_for_a_template_a_layer_alone(model: str, verdict: str, judge_claim: Judge) -> None:
    found = judge_claim({"kind": "similarity-start", "model": model, "at_most": 0.01}).finding
    assert found.verdict == verdict and found.at == "simulated starts"


def test_similarities_that_cannot_be_used_are_told(
    shared: Shared, judge_claim: Judge, tmp_path: Path, make_run: Callable[..., Path]
) -> None:
    shared(DEEP, lambda seed, epoch, group: chess(seeded(seed, group)))
    place = tmp_path / "runs/cifar10/swrn-40-8-8/cifar"
    (place / "seed0" / "similarity.npz").write_bytes(b"PK")
    (place / "seed1" / "similarity.npz").unlink()
    assert judge_claim(NEAR_ONE).finding.verdict == "reproduced"  # three are left
    shared(DEEP, lambda seed, epoch, group: chess(seeded(seed, group), 6, 4), seeds=[2])
    found = judge_claim(NEAR_ONE).finding
    assert found.verdict == "inconclusive" and found.sentence.startswith("2 of 5 runs")
    for seed in SEEDS:
        (place / f"seed{seed}" / "similarity.npz").unlink(missing_ok=True)
    found = judge_claim(NEAR_ONE).finding
    assert found.verdict == "not run" and "seeds 0 to 4: none is stored" in found.sentence


@pytest.fixture
def weights(make_run: Callable[..., Path]) -> Callable[..., None]:
    """Makes runs of a plain network that tell how alike their layers' weights are: one pair, or none."""

    def make(alike: float, seeds: int = 3) -> None:
        for seed in range(seeds):
            folder = make_run(Run(Setting(*PLAIN.split("/")), seed), 4 + seed / 100)
            matrices = {f"stage{stage}": np.full((6, 6), 0.02) for stage in (1, 2, 3)}
            matrices["stage2"][1, 4] = matrices["stage2"][4, 1] = max(alike, 0.02) - seed / 1000
            write_unshared(folder, matrices)

    return make


def write_unshared(folder: Path, matrices: dict[str, np.ndarray]) -> None:
    for matrix in matrices.values():
        np.fill_diagonal(matrix, 1.0)
    arrays = {f"unshared/{name}": matrix for name, matrix in matrices.items()}
    none: dict[str, Any] = {"epochs": np.array([200]), "groups": np.array([], str)}
    np.savez(folder / "similarity.npz", unshared=np.array(list(matrices)), **none, **arrays)


NONE = {"kind": "similarity-none", "setting": PLAIN, "at_most": 0.1}


@pytest.mark.parametrize(("alike", "verdict"), [(0.05, "reproduced"), (0.13, "close"), (0.9, "not reproduced")])
def test_layers_of_a_plain_network(
    alike: float, verdict: str, weights: Callable[..., None], judge_claim: Judge, tmp_path: Path
) -> None:
    weights(alike)
    found = judge_claim(NONE).finding
    assert found.verdict == verdict, found.sentence
    assert found.details["largest_by_seed"] == pytest.approx({"0": alike, "1": alike - 0.001, "2": alike - 0.002})


def test_seeds_that_tell_no_similarity_are_left_out(
    weights: Callable[..., None], judge_claim: Judge, tmp_path: Path
) -> None:
    weights(0.0)
    place = tmp_path / "runs/cifar10/wrn-28-10/cifar"
    (place / "seed0" / "similarity.npz").write_bytes(b"not this")
    assert judge_claim(NONE).finding.verdict == "inconclusive"
    write_unshared(place / "seed1", {"stage1": np.full((2, 2), np.nan)})
    (place / "seed2" / "similarity.npz").unlink()
    found = judge_claim(NONE).finding
    assert found.verdict == "not run" and "\n" not in found.sentence
    assert "seed 2: similarity.npz is missing" in found.sentence
    assert "seed 1: similarity.npz cannot be used (unshared/stage1 is not within 0 and 1)" in found.sentence


def test_runs_of_earlier_versions_tell_that_nothing_was_compared(
    make_run: Callable[..., Path], make_similarity: Callable[..., None], judge_claim: Judge
) -> None:
    for seed in range(3):
        make_similarity(make_run(Run(Setting(*PLAIN.split("/")), seed), 4 + seed / 100), groups=0)
    found = judge_claim(NONE).finding
    told = "seeds 0 to 2: similarity.npz holds no similarity of layers that share nothing"
    assert found.verdict == "not run" and told in found.sentence


def test_what_is_published_still_answers_the_claim_on_plain_layers(
    weights: Callable[..., None], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    weights(0.05)
    out = tmp_path_factory.mktemp("published") / "paper"
    publish(load_plan("paper", ["table1"]), tmp_path, out)
    verdicts = {each["id"]: each["verdict"] for each in json.loads((out / "claims.json").read_text())["claims"]}
    assert verdicts["plain-layers-unlike"] == "reproduced"


FOLDING = {
    "kind": "folding",
    "setting": DEEP,
    "threshold": 0.8,
    "increase": 0.3,
    "layers": {"of": 40, "to": 24},
}


@pytest.fixture
def fold(make_run: Callable[..., Path]) -> Callable[..., None]:
    """Makes folded runs: for each seed what only the first network gets wrong, what only the second, layers left."""

    def make(
        name: str,
        seeds: list[tuple[int, int, int]],
        stage: str = "abababcdcd",
        without: tuple[str, ...] = (),
        error: float = 4.0,
        saved: int = 0,
        **changes: Any,
    ) -> None:
        setting = Setting(*name.split("/"))
        for seed, (only_before, only_after, layers) in enumerate(seeds):
            folder = make_run(Run(setting, seed), error + seed / 100) / "folding"
            folder.mkdir(exist_ok=True)
            wrong = np.zeros((2, 10000), bool)
            wrong[0, :only_before] = wrong[1, 5000 : 5000 + only_after] = True
            cost = {
                "error_before": error,
                "error_after": round(error + (only_after - only_before) / 100, 2),
                "only_before": only_before,
                "only_after": only_after,
                "p": mcnemar(*wrong).p,
                "parameters": 1000,
                "error_reestimated": None,
                "p_reestimated": None,
            }
            unfolded = {
                "threshold": None,
                "layers": 40,
                "error_after": error,
                "only_before": 0,
                "only_after": 0,
                "p": 1,
            }
            key = {"dataset": setting.dataset, "model": setting.model, "recipe": setting.recipe, "seed": seed}
            described = {
                "run": key,
                "of": "coefficients",
                "threshold": 0.8,
                "test_images": 10000,
                "similarity": {},
                "own_layers": {},
                "foldings": [
                    {"threshold": 0.8, "layers": 40, "distinct_layers": layers, "stages": {"stage2": list(stage)}}
                ],
                "costs": [
                    {**cost, **unfolded},
                    # Of a claim on a stage it is not asked.
                    {**cost, "threshold": 0.8, "layers": layers, "parameters": 1000 - saved},
                ],
                "stage_costs": {"stage2": {**cost, "threshold": 0.8, "layers": layers}},
            }
            left = {key: value for key, value in (described | changes).items() if key not in without}
            (folder / "folding.json").write_text(json.dumps(left))

    return make


@pytest.mark.parametrize(
    ("seeds", "verdict"),
    [
        ([(20, 30, 24)] * 5, "reproduced"),
        ([(20, 30, 24)] * 3 + [(10, 200, 12)] * 2, "reproduced"),  # most of the seeds decide
        ([(20, 30, 30)] * 5, "close"),  # fewer layers become one
        ([(20, 30, 39)] * 5, "not reproduced"),
        ([(10, 65, 24)] * 5, "close"),  # 0.55 points more, at most twice what is told
        ([(10, 200, 24)] * 5, "not reproduced"),
        ([(60, 95, 24)] * 5, "inconclusive"),  # 0.35 points more: may be chance
        ([(20, 30, 24)] * 2, "inconclusive"),
        ([], "not run"),
    ],
)
def test_folding(
    seeds: list[tuple[int, int, int]], verdict: str, fold: Callable[..., None], judge_claim: Judge
) -> None:
    fold(DEEP, seeds)
    found = judge_claim(FOLDING).finding
    assert found.verdict == verdict, found.sentence
    if len(seeds) == 5:
        first = found.details["by_seed"]["0"]
        assert first["increase"] == pytest.approx((seeds[0][1] - seeds[0][0]) / 100)
        assert first["interval"] == pytest.approx(list(change_interval(*seeds[0][:2], 10000)))
        assert 0 < first["mcnemar_p"] <= 1 and first["layers_at_most"] == 24


@pytest.mark.parametrize("before", [4.0, 16.9, 15.75])
def test_two_images_of_ten_thousand_are_no_more_than_two(
    before: float, fold: Callable[..., None], judge_claim: Judge
) -> None:
    """16.92 - 16.90 is a little more than 0.02 in floats."""
    claim = {**FOLDING, "increase": 0.02}
    fold(DEEP, [(3, 5, 24)] * 3, error=before)
    assert judge_claim(claim).finding.verdict == "reproduced"
    fold(DEEP, [(3, 6, 24)] * 3, error=before)
    found = judge_claim(claim).finding
    assert found.verdict == "inconclusive" and found.bound == 0.02


@pytest.mark.parametrize(
    ("stages", "verdict"),
    [
        (["aaaaaa", "aaaaaa", "aaaaaa"], "reproduced"),
        (["aaaaaa", "ababab", "aaaaaa"], "close"),  # the stage of which most are left
        (["aaaaaa", "abcdee", "aaaaaa"], "not reproduced"),
    ],
)
def test_each_stage_is_to_fold_so_far(
    stages: list[str], verdict: str, fold: Callable[..., None], judge_claim: Judge
) -> None:
    claim = {key: value for key, value in FOLDING.items() if key != "layers"}
    claim |= {"setting": ONE, "increase": 0.02, "each_stage_to": 1}
    labels = {f"stage{number}": list(stage) for number, stage in enumerate(stages, 1)}
    left = 28 - sum(len(stage) - len(set(stage)) for stage in stages)
    at = {"threshold": 0.8, "layers": 28, "distinct_layers": left, "stages": labels}
    alone = {"threshold": 0.8, "layers": left, "parameters": 9, "error_before": 4.0, "error_after": 4.0, "p": 1.0}
    alone |= {"only_before": 5, "only_after": 5, "error_reestimated": None, "p_reestimated": None}
    fold(ONE, [(5, 5, left)] * 5, foldings=[at], stage_costs=dict.fromkeys(labels, alone))
    found = judge_claim(claim).finding
    most = max(len(set(stage)) for stage in stages)
    assert found.verdict == verdict, found.sentence
    assert f"in the stage of most: {', '.join([str(most)] * 5)} of 6 layers left" in found.sentence


@pytest.mark.parametrize(
    ("saved", "verdict"),
    [([10] * 5, "reproduced"), ([40, 10, 12, 0, 0], "reproduced"), ([5] * 5, "close"), ([4] * 5, "not reproduced"),
     ([50, 0, 0, 0, 50], "not reproduced")],
)  # fmt: skip
def test_folding_is_to_save_parameters(
    saved: list[int], verdict: str, fold: Callable[..., None], judge_claim: Judge
) -> None:
    claim = {"kind": "folding-saves", "setting": FOUR, "threshold": 0.8, "less_by": 0.01}
    assert judge_claim(claim).finding.verdict == "not run"
    for count in range(5, 0, -1):  # a run's number is overwritten by the next round's but for the last seed
        fold(FOUR, [(5, 6, 24)] * count, saved=saved[count - 1])
    found = judge_claim(claim).finding
    assert found.verdict == verdict, found.sentence
    assert found.details["saved_by_seed"] == {str(seed): pytest.approx(each / 1000) for seed, each in enumerate(saved)}


def test_a_stage_that_folds_as_starts_do_tells_nothing(fold: Callable[..., None], judge_claim: Judge) -> None:
    name = "cifar10/swrn-28-10-4/cifar"
    claim = {**FOLDING, "setting": name, "stage": "stage2", "layers": {"of": 6, "to": 5}}
    fold(name, [(5, 6, 26)] * 3, stage="abcdea")
    found = judge_claim(claim).finding
    share = (1 + sum(off_diagonal(each).max() >= 0.8 for each in starts(6, 4)[:1000])) / 1001
    assert share == pytest.approx(0.4, abs=0.05) and found.p == pytest.approx(share**3)
    assert found.verdict == "inconclusive" and "of 42 % of untrained stages" in found.sentence
    fold(name, [(5, 6, 26)] * 5, stage="abcdea")
    found = judge_claim(claim).finding
    assert found.p == pytest.approx(share**5) and found.verdict == "reproduced"


def test_what_starts_do_is_not_close_either(fold: Callable[..., None], judge_claim: Judge) -> None:
    """A costlier folding is not called better than a cheap one."""
    name = "cifar10/swrn-28-10-4/cifar"
    claim = {**FOLDING, "setting": name, "stage": "stage2", "layers": {"of": 6, "to": 5}}
    fold(name, [(5, 65, 26)] * 3, stage="abcdea")  # 0.6 points more
    found = judge_claim(claim).finding
    assert found.verdict == "not reproduced" and found.p == 1.0, found.sentence
    fold(name, [(5, 65, 26)] * 5, stage="abcdea")
    assert judge_claim(claim).finding.verdict == "close"


def test_one_seed_that_folds_far_makes_no_small_p(fold: Callable[..., None], judge_claim: Judge) -> None:
    claim = {**FOLDING, "stage": "stage2", "layers": {"of": 10, "to": 4}}
    fold(DEEP, [(5, 6, 30)] + [(5, 300, 30)] * 4)
    found = judge_claim(claim).finding
    assert found.verdict == "not reproduced" and found.p == 1.0 and 0 < found.details["p_of_agreeing"] < 0.05


def test_a_folding_by_weights_is_no_answer(fold: Callable[..., None], judge_claim: Judge) -> None:
    fold(DEEP, [(20, 30, 24)] * 3, of="weights")
    found = judge_claim(FOLDING).finding
    assert found.verdict == "not run" and "the paper compares coefficients" in found.sentence


def test_folding_of_a_stage(fold: Callable[..., None], judge_claim: Judge) -> None:
    claim = {**FOLDING, "stage": "stage2", "layers": {"of": 10, "to": 4}}
    fold(DEEP, [(5, 6, 30)] * 3)
    found = judge_claim(claim).finding
    assert found.verdict == "reproduced" and "stage2: 4, 4, 4 of 10 layers left" in found.sentence
    assert found.p is not None and found.p < 0.001
    assert judge_claim({**claim, "layers": {"of": 10, "to": 3}}).finding.verdict == "close"
    found = judge_claim({**claim, "stage": "stage7"}).finding
    assert found.verdict == "not run" and "is no result of folding" in found.sentence


def test_a_claim_on_a_stage_asks_what_that_stage_costs_alone(fold: Callable[..., None], judge_claim: Judge) -> None:
    claim = {**FOLDING, "stage": "stage2", "layers": {"of": 10, "to": 4}}
    alone = {
        "threshold": 0.8, "layers": 30, "parameters": 9, "error_before": 4.0, "error_after": 4.6, "only_before": 5,
        "only_after": 65, "p": 1e-9, "error_reestimated": None, "p_reestimated": None,
    }  # fmt: skip
    fold(DEEP, [(5, 6, 30)] * 3, stage_costs={"stage2": alone})
    found = judge_claim(claim).finding
    assert found.verdict == "close" and found.estimate == pytest.approx(0.6), found.sentence
    fold(DEEP, [(5, 6, 30)] * 3, without=("stage_costs",))
    found = judge_claim(claim).finding
    assert found.verdict == "not run" and "was not measured alone; softshare fold --threshold 0.8" in found.sentence


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"run": {"dataset": "cifar10", "model": "swrn-16-1", "recipe": "cifar", "seed": 0}}, "belongs to another run"),
        ({"costs": []}, "costs are not those of"),
        ({"costs": [{"threshold": 0.8}]}, "is no result of folding"),
        ({"foldings": 3}, "is no result of folding"),
        ({"stage_costs": {"stage7": {}}}, "is no result of folding"),
        ({"stage_costs": {}}, "does not hold 1 to"),
    ],
)
def test_a_damaged_folding_is_told(
    changes: dict[str, Any], said: str, fold: Callable[..., None], judge_claim: Judge
) -> None:
    fold(DEEP, [(20, 30, 24)] * 3, **changes)
    found = judge_claim(FOLDING).finding
    assert found.verdict == "not run" and said in found.sentence and "\n" not in found.sentence
