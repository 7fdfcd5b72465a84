"""What `softshare fold` left in a folder, read back: loops, similarities, costs. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from softshare.errors import UserError
from softshare.evidence.runs.checks import UnusableError, check_number, same_error
from softshare.evidence.runs.runfolder import Record
from softshare.files import read_json
from softshare.sharing.loops import Loops, find_loops

# Of a folding that can be drawn on one page and read in seconds: enough for a ResNet of 152 layers.
_MOST_LAYERS, _MOST_STAGES, _MOST_GROUPS, _MOST_THRESHOLDS = 200, 16, 16, 10_000
_MOST_OWN, _MOST_IMAGES = 1000, 10**9
# Finding the loops of n layers takes n^3 steps: some twenty seconds for all of them together.
_MOST_STEPS = 10**8
# Cosines, rounded.
_LARGEST_SIMILARITY = 1.001
# The largest error of writing a percentage down.
_ROUNDING = 1e-6

_COST = (
    "threshold", "layers", "parameters", "error_before", "error_after", "only_before", "only_after", "p",
    "error_reestimated", "p_reestimated",
)  # fmt: skip


@dataclass(frozen=True)
class FoldedAt:
    """A network folded at one threshold.

    Attributes:
        threshold: Least similarity of layers that became one.
        layers: Layers before, as the paper counts.
        distinct_layers: Layers after.
        stages: For each stage what its shared layers run.
    """

    threshold: float
    layers: int
    distinct_layers: int
    stages: dict[str, Loops]


@dataclass(frozen=True)
class FoldedRun:
    """A `folding.json`.

    Attributes:
        run: Dataset, model, recipe and seed.
        of: What was compared, `coefficients` or `weights`.
        threshold: The threshold that the kept network was folded at.
        similarity: Layer similarity matrices, [L, L] for each group.
        own_layers: For each stage how many layers of the shared ones' kernel share nothing.
        foldings: One for each threshold.
        costs: Rows of `folding.csv`, the first that of the network as it was trained, then one for each folding.
        stage_costs: What folding one stage alone at `threshold` costs, by stage; empty where that was not measured.
        test_images: Images behind each error.
    """

    run: dict[str, Any]
    of: str
    threshold: float
    similarity: dict[str, np.ndarray]
    own_layers: dict[str, int]
    foldings: tuple[FoldedAt, ...]
    costs: tuple[dict[str, Any], ...]
    stage_costs: dict[str, dict[str, Any]]
    test_images: int

    @property
    def chosen(self) -> FoldedAt:
        """The folding at `threshold`."""
        return next(folding for folding in self.foldings if folding.threshold == self.threshold)


def read_folding(file: Path) -> FoldedRun:
    """Reads a `folding.json`.

    Raises:
        UserError: The file is missing, truncated, or not what `softshare fold` writes.
    """
    raw = read_json(file)
    try:
        str(raw).encode()  # JSON may hold halves of characters, which nothing can be written with
        folded = FoldedRun(
            run={key: raw["run"][key] for key in ("dataset", "model", "recipe", "seed")},
            of=raw["of"],
            threshold=raw["threshold"],
            similarity={group: _matrix(matrix, group) for group, matrix in _named(raw, "similarity", 0, _MOST_GROUPS)},
            own_layers=dict(_named(raw, "own_layers", 0, _MOST_STAGES)),
            foldings=_foldings(raw["foldings"]),
            costs=_costs(raw["costs"], raw["test_images"]),
            stage_costs=_stage_costs(raw),
            test_images=raw["test_images"],
        )
        _check(folded)
    except UnusableError as error:
        raise UserError(f"is no result of folding ({error})", file=file, remedy="softshare fold writes it") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise UserError(f"is no result of folding ({error!r})", file=file, remedy="softshare fold writes it") from error
    return folded


def read_folding_of(record: Record, file: Path) -> FoldedRun:
    """Reads the `folding.json` of a complete run, and holds it against what the run tells of itself.

    Raises:
        UserError: As of `read_folding`, or it is of another run, other test images or another network.
    """
    folded, setting, test = read_folding(file), record.run.setting, record.metrics["test"]
    key = {"dataset": setting.dataset, "model": setting.model, "recipe": setting.recipe, "seed": record.run.seed}
    if folded.run != key:
        raise UserError("belongs to another run", file=file, key="run", value=folded.run)
    if folded.test_images != test.get("images"):
        told = f"is not the run's number of test images, {test.get('images')}"
        raise UserError(told, file=file, key="test_images", value=folded.test_images)
    for cost in (*folded.costs, *folded.stage_costs.values()):
        if not same_error(cost["error_before"], record.error, folded.test_images):
            told = f"is not the run's test error, {record.error:g} %"
            raise UserError(told, file=file, key="error_before", value=cost["error_before"])
    return folded


def _named(raw: dict[str, Any], key: str, least: int, most: int) -> list[tuple[str, Any]]:
    """What stands under each name of a group or stage; the names are drawn."""
    if not isinstance(raw[key], dict) or not least <= len(raw[key]) <= most:
        raise UnusableError(f"{key} does not hold {least} to {most} entries by name")
    for name in raw[key]:
        if len(name) > 100 or not name.isprintable() or "$" in name:  # which would begin a formula
            raise UnusableError(f"{key}: {name!r:.40} is no name")
    return list(raw[key].items())


def _matrix(value: object, group: str) -> np.ndarray:
    matrix = np.asarray(value)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not 1 <= len(matrix) <= _MOST_LAYERS:
        raise UnusableError(f"similarity of {group!r} is no square matrix of 1 to {_MOST_LAYERS} layers")
    # NaN is within no bounds.
    if matrix.dtype.kind not in "if" or not (np.abs(matrix) <= _LARGEST_SIMILARITY).all():
        raise UnusableError(f"similarity of {group!r} is not within -1 and 1")
    return matrix.astype(float)


def _foldings(rows: object) -> tuple[FoldedAt, ...]:
    if not isinstance(rows, list) or not 1 <= len(rows) <= _MOST_THRESHOLDS:
        raise UnusableError(f"foldings is no list of 1 to {_MOST_THRESHOLDS}")
    # Neighbouring thresholds mostly fold alike.
    known: dict[tuple[Any, ...], Loops] = {}
    steps, found = 0, []
    for index, row in enumerate(rows):
        stages = _named(row, "stages", 1, _MOST_STAGES)
        check_number(row["threshold"], f"foldings[{index}].threshold", low=0, high=1)
        check_number(row["layers"], f"foldings[{index}].layers", low=1, high=10**6, whole=True)
        check_number(
            row["distinct_layers"], f"foldings[{index}].distinct_layers", low=1, high=row["layers"], whole=True
        )
        for stage, sequence in stages:
            if not isinstance(sequence, list) or not 1 <= len(sequence) <= _MOST_LAYERS:
                raise UnusableError(f"stages: {stage!r} is no list of 1 to {_MOST_LAYERS} layers")
            if not all(type(layer) in (int, str) for layer in sequence):
                raise UnusableError(f"stages: {stage!r} holds what names no layer")
            if tuple(sequence) not in known:
                steps += len(sequence) ** 3
                if steps > _MOST_STEPS:
                    raise UnusableError("foldings hold too many layers to look for loops in")
                known[tuple(sequence)] = find_loops(sequence)
        loops = {stage: known[tuple(sequence)] for stage, sequence in stages}
        found.append(FoldedAt(row["threshold"], row["layers"], row["distinct_layers"], loops))
    return tuple(found)


def _costs(rows: object, images: object) -> tuple[dict[str, Any], ...]:
    """Rows of numbers that agree with each other, without keys that nobody knows."""
    check_number(images, "test_images", low=1, high=_MOST_IMAGES, whole=True)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UnusableError("costs is no list of rows")
    return tuple(_cost(row, f"costs[{index}]", images) for index, row in enumerate(rows))


def _stage_costs(raw: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Nothing, where an earlier version wrote the file."""
    if "stage_costs" not in raw:
        return {}
    named = _named(raw, "stage_costs", 1, _MOST_STAGES)
    return {stage: _cost(row, f"stage_costs.{stage}", raw["test_images"]) for stage, row in named}


def _cost(row: dict[str, Any], name: str, images: Any) -> dict[str, Any]:
    for key in ("error_before", "error_after"):
        check_number(row.get(key), f"{name}.{key}", low=0, high=100)
    for key in ("layers", "parameters"):
        check_number(row.get(key), f"{name}.{key}", low=1, whole=True)
    for key in ("only_before", "only_after"):
        check_number(row.get(key), f"{name}.{key}", low=0, high=images, whole=True)
    check_number(row.get("p"), f"{name}.p", low=0, high=1)
    for key, most in (("threshold", 1), ("error_reestimated", 100), ("p_reestimated", 1)):
        if row[key] is not None:
            check_number(row[key], f"{name}.{key}", low=0, high=most)
    if row["only_before"] + row["only_after"] > images:
        raise UnusableError(f"{name}: only_before and only_after are more than the test images")
    change = 100.0 * (row["only_after"] - row["only_before"]) / images
    if abs(row["error_after"] - row["error_before"] - change) > _ROUNDING:
        raise UnusableError(f"{name}: error_after is not what only_before and only_after make of error_before")
    return {key: row[key] for key in _COST}


def _check(folded: FoldedRun) -> None:
    if folded.of not in ("coefficients", "weights"):
        raise UnusableError("of is neither coefficients nor weights")
    check_number(folded.threshold, "threshold", low=0, high=1)
    if sum(len(matrix) for matrix in folded.similarity.values()) > _MOST_LAYERS:
        raise UnusableError(f"similarity of more than {_MOST_LAYERS} layers is not drawn")
    for stage, count in folded.own_layers.items():
        check_number(count, f"own_layers of {stage!r}", low=0, high=_MOST_OWN, whole=True)
    thresholds = [folding.threshold for folding in folded.foldings]
    if folded.threshold not in thresholds or thresholds != sorted(set(thresholds)):
        raise UnusableError("foldings are not in the order of their thresholds, or lack the one that was kept")
    if [cost["threshold"] for cost in folded.costs] != [None, *thresholds]:
        raise UnusableError("costs are not those of the network as it was trained and of each folding")
    if folded.stage_costs and folded.stage_costs.keys() != folded.chosen.stages.keys():
        raise UnusableError("stage_costs are not those of the stages that were folded")
    if any(cost["threshold"] != folded.threshold for cost in folded.stage_costs.values()):
        raise UnusableError("stage_costs are of another threshold")
    for folding in folded.foldings:
        shared = sum(len(loops.sequence) for loops in folding.stages.values())
        if shared + sum(folded.own_layers.values()) > _MOST_LAYERS:
            raise UnusableError(f"more than {_MOST_LAYERS} layers are not drawn")
