"""How fast this device trains and evaluates: epochs of the real engines on drawn examples, within a given time.

Most of the time goes to what makes most of the bill. A network whose step takes too long for that is timed with a
smaller batch, and one for which no time is left is not timed at all: both are scaled by counted operations, and each
figure says how it was found.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from softshare.cores import usable_cores
from softshare.data.images import ImageSet
from softshare.data.shortest_paths import make_shortest_paths
from softshare.errors import UserError
from softshare.forecast.counting import Counted
from softshare.forecast.workload import Workload
from softshare.training.engine import start_training
from softshare.training.job import Job
from softshare.training.path_engine import start_training_paths
from softshare.training.path_recipe import PathRecipe
from softshare.training.recipe import Recipe, with_lists
from softshare.training.resumable import Resumable

_ENOUGH_SECONDS, _ENOUGH_TIMES = 3.0, 3
_SMALL_BATCH = 4
_EVALUATED = 500  # examples at most; the engines' own batch
_SHARE = 0.25  # of the time left, for the workload whose turn it is
_NAME_ONE = "name a device of config/devices.yaml, or give --sustained"
_UNRECORDED = 6  # steps, that of the recording among them
_SHORTEST = 1e-3  # seconds that are told of an epoch, but for none: a step replayed on a GPU may take less than half
_MANY = 10_000  # epochs: of a measurement none is the last, after which more is done


@dataclass(frozen=True)
class Pace:
    """How long a workload's parts take on a device.

    Attributes:
        step_seconds: A training step of its whole batch, the making of the batch included.
        evaluation_seconds: An example evaluated.
        how: How it was found, in words.
        measured: Whether this very network was timed.
    """

    step_seconds: float
    evaluation_seconds: float
    how: str
    measured: bool

    def seconds(self, work: Workload) -> float:
        """Of a whole run, as a manifest counts `device_seconds`; the smaller last batch of an epoch by its share."""
        steps = work.epochs * work.train_examples / work.batch_size
        return steps * self.step_seconds + work.evaluated_examples * self.evaluation_seconds


def measure_paces(
    counted: Mapping[Workload, Counted],
    runs: Mapping[Workload, int],
    device: torch.device,
    precision: str,
    seconds: float,
) -> dict[Workload, Pace]:
    """Times training and evaluation of workloads on a device.

    Args:
        counted: The workloads, and what they cost.
        runs: How many runs each has.
        device: Where to compute.
        precision: A resolved precision.
        seconds: How long to measure in all; a step that takes longer than expected may go beyond.

    Returns:
        A pace for each workload.

    Raises:
        UserError: No workload can be measured.
    """
    deadline = time.perf_counter() + seconds
    paces: dict[Workload, Pace] = {}
    by_bill = sorted(
        (work for work in counted if work.in_memory),
        key=lambda work: -runs[work] * whole_run_flops(work, counted[work]),
    )
    if not by_bill:
        raise UserError("cannot be measured: no run's examples lie in memory", key="device", remedy=_NAME_ONE)
    first = min(
        (work for work in by_bill if work.on_paths == by_bill[0].on_paths),
        key=lambda work: counted[work].example_flops,
    )
    rate = _first_rate(first, counted[first], device, precision)
    for place, work in enumerate(by_bill):
        left = deadline - time.perf_counter()
        fair = left / (len(by_bill) - place)
        batch = _affordable_batch(work, counted[work], rate, max(_SHARE * left, min(left, _ENOUGH_SECONDS)))
        if batch is not None:
            most = max(_SHARE * left, _ENOUGH_SECONDS, fair)
            paces[work] = _measure(work, counted[work], batch, device, precision, fair, most)
            rate = counted[work].training_flops(work.batch_size) / paces[work].step_seconds
    if not paces:
        paces[first] = _measure(first, counted[first], _SMALL_BATCH, device, precision, 0.0, 0.0)
    return {work: paces.get(work) or _scaled(work, counted, paces) for work in counted}


def _first_rate(work: Workload, cost: Counted, device: torch.device, precision: str) -> float:
    """Operations a second of a small step, the second one: the first makes kernels."""
    _set_threads(work, device)
    with tempfile.TemporaryDirectory() as folder:
        training = _start(work, _SMALL_BATCH, _SMALL_BATCH, device, precision, Path(folder))
        train, _ = _timed(training, 2)[-1]
    return cost.training_flops(_SMALL_BATCH) / train


def _affordable_batch(work: Workload, cost: Counted, rate: float, seconds: float) -> int | None:
    """The largest batch that can be trained on and evaluated twice in so many seconds; None where not even a small one.

    Halved from the workload's own, so that what is timed is as like it as may be.
    """
    batch = work.batch_size
    while 2 * _epoch_flops(work, cost, batch) / rate > seconds:
        batch //= 2
        if batch < _SMALL_BATCH:
            return None
    return batch


def _epoch_flops(work: Workload, cost: Counted, batch: int) -> int:
    return cost.training_flops(batch) + _evaluated(work, batch) * cost.forward_flops


def _measure(
    work: Workload, cost: Counted, batch: int, device: torch.device, precision: str, fair: float, most: float
) -> Pace:
    """Times epochs of a step or more for so many seconds, and until they tell enough or `most` are over.

    A machine that others share, or that grows warm, changes its speed within seconds: what is not needed for the
    others is used, and a whole run goes at the mean pace, not at the median one.
    """
    _set_threads(work, device)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        # The first makes kernels and takes memory.
        first, _ = _timed(_start(work, batch, batch, device, precision, Path(folder)), _before(device, 1) + 1)[-1]
        steps = max(1, min(work.train_examples // batch, int(_ENOUGH_SECONDS / _ENOUGH_TIMES / first)))
        training = _start(work, batch, steps * batch, device, precision, Path(folder))
        _timed(training, _before(device, steps))
        times: list[tuple[float, float]] = []
        while not times or _goes_on(times, time.perf_counter() - began, fair, most):
            times += _timed(training, 1)
    step = statistics.mean(train for train, _ in times) / steps
    evaluation = statistics.mean(evaluate for _, evaluate in times) / _evaluated(work, batch)
    how = "measured"
    if batch != work.batch_size:
        step *= cost.training_flops(work.batch_size) / cost.training_flops(batch)
        how = f"measured with batches of {batch}, scaled by operations"
    return Pace(step, evaluation, how, True)


def _before(device: torch.device, steps: int) -> int:
    """Epochs of so many steps that are not counted: on a GPU a step is recorded only after some (`recorded_step`)."""
    return -(-_UNRECORDED // steps) if device.type == "cuda" else 0


def _set_threads(work: Workload, device: torch.device) -> None:
    if device.type == "cpu":
        torch.set_num_threads(min(work.threads, usable_cores()))


def _goes_on(times: list[tuple[float, float]], gone: float, fair: float, most: float) -> bool:
    enough = len(times) >= _ENOUGH_TIMES and sum(map(sum, times)) >= _ENOUGH_SECONDS
    return gone < most and (gone < fair or not enough)


def _timed(training: Resumable[Any], epochs: int) -> list[tuple[float, float]]:
    """Seconds of training and of the rest of each of some epochs."""
    times = []
    for _ in range(epochs):
        start = time.perf_counter()
        training.run_epoch(training.epoch, progress=False)
        train = float(training.history[-1]["seconds"])
        times.append((max(train, _SHORTEST), time.perf_counter() - start - train))
    return times


def _start(
    work: Workload, batch: int, examples: int, device: torch.device, precision: str, folder: Path
) -> Resumable[Any]:
    """A run of the engine on drawn examples. Its learning rate is small, so that no loss is no number."""
    changed: dict[str, Any] = {"epochs": _MANY, "batch_size": batch, "learning_rate": 1e-4, "similarity_at": ()}
    settings = with_lists(dict(work.settings)) | {"similarity_at": [1.0]}
    test = _evaluated(work, batch)
    if work.on_paths:
        settings |= {"windows": [work["windows"][-1]], "train": examples, "test": test, "statistics_anew": 0}
        recipe = dataclasses.replace(PathRecipe.from_settings(settings), **changed)
        data = make_shortest_paths(recipe.data)
        return start_training_paths(_job(work, recipe, device, precision), data, folder)
    recipe_of_images = dataclasses.replace(Recipe.from_settings(settings), **changed, validation=0.0)
    return start_training(_job(work, recipe_of_images, device, precision), _drawn(work, examples, test), folder)


def _job(work: Workload, recipe: Any, device: torch.device, precision: str) -> Job[Any]:
    setting = work.setting
    return Job(setting.dataset, setting.model, setting.recipe, recipe, 0, device, precision)


def _drawn(work: Workload, train: int, test: int) -> ImageSet:
    """Images of a workload's size and classes, drawn at random."""
    generator = torch.Generator().manual_seed(0)
    classes = work.classes or 1

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        images = torch.randint(0, 256, (count, *work.inputs), dtype=torch.uint8, generator=generator)
        return images, torch.randint(0, classes, (count,), generator=generator)

    (train_images, train_labels), (test_images, test_labels) = draw(train), draw(test)
    names = tuple(map(str, range(classes)))
    half = (0.5, 0.5, 0.5)
    return ImageSet(
        work.setting.dataset, train_images, train_labels, test_images, test_labels, names,
        "drawn", "drawn", half, half, True, work.inputs[-1] // 8,
    )  # fmt: skip


def _evaluated(work: Workload, batch: int) -> int:
    """Examples that a measurement evaluates an epoch: fewer where the batch had to be made smaller."""
    return max(1, min(work.evaluated_examples // work.epochs, _EVALUATED, 2 * batch))


def _scaled(work: Workload, counted: Mapping[Workload, Counted], paces: Mapping[Workload, Pace]) -> Pace:
    """The pace of one that was not timed, from the one timed that costs most alike an example, of its task if any."""
    alike = [each for each in paces if each.on_paths == work.on_paths] or list(paces)
    cost = counted[work]
    near = min(alike, key=lambda each: abs(math.log(counted[each].example_flops / cost.example_flops)))
    pace, base = paces[near], counted[near]
    step = pace.step_seconds * cost.training_flops(work.batch_size) / base.training_flops(near.batch_size)
    evaluation = pace.evaluation_seconds * cost.forward_flops / base.forward_flops
    return Pace(step, evaluation, f"scaled by operations from {near.setting}", False)


def by_operations(work: Workload, cost: Counted, operations_a_second: float, how: str) -> Pace:
    """The pace of a device that sustains so many operations a second."""
    step = cost.training_flops(work.batch_size) / operations_a_second
    return Pace(step, cost.forward_flops / operations_a_second, how, False)


def alike(works: Iterable[Workload]) -> dict[Workload, Workload]:
    """Of workloads whose steps are alike, such as those of two starts of the coefficients, one to be timed for all."""
    seen: dict[tuple[Any, ...], Workload] = {}
    return {work: seen.setdefault(_kind(work), work) for work in works}


def _kind(work: Workload) -> tuple[Any, ...]:
    parts = ("batch_size", "recurrence") if work.on_paths else ("batch_size", "recurrence", "optimizer")
    dropout = bool(dict(work.settings).get("dropout"))  # of WRNs for CIFAR alone
    return (work.setting.model, work.inputs, work.on_paths, dropout, *(work[part] for part in parts))


def whole_run_flops(work: Workload, cost: Counted) -> int:
    """Operations of a whole run, training and evaluation."""
    return cost.training_flops(work.train_seen, work.steps) + work.evaluated_examples * cost.forward_flops
