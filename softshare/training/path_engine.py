"""Training on shortest paths: one network through phases of growing distance (section 4.4 of the paper).

The order of an epoch's examples is drawn from (seed, epoch). The data are drawn from the run's seed too, so that runs
of one seed train different networks on the same examples, and runs of different seeds tell of more than one draw.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from softshare.data.orders import epoch_order
from softshare.data.path_batches import on_device, path_batches
from softshare.data.shortest_paths import PathSet, ShortestPaths, make_shortest_paths
from softshare.files import written_whole
from softshare.models import create_model
from softshare.runfiles import PREDICTIONS
from softshare.sharing import parameter_groups
from softshare.training.complete import FILES
from softshare.training.divergence import DivergedError
from softshare.training.job import Job
from softshare.training.path_evaluation import PathScore, evaluate_paths, predict_paths, with_statistics_anew
from softshare.training.path_recipe import PathRecipe
from softshare.training.resumable import Resumable, seed_weights
from softshare.training.to_the_end import train_to_the_end

PREDICTED = 4  # test examples of each phase whose predictions are kept

Network = Callable[[Tensor], Tensor]


def train_paths(job: Job[PathRecipe], out: Path, *, progress: bool = True) -> dict[str, Any]:
    """Trains a run through all phases and writes its folder; goes on from the checkpoint that a killed one left.

    A run that is complete is left as it is. Besides what every run leaves, the folder holds `predictions.npz` (see
    `_Training.finish`); `history.csv` tells phase and F1 of each epoch, `metrics.json` F1 at the end of each phase on
    the test sets of all phases; both tell the same with batch norm's statistics anew, where the recipe asks for that.

    Args:
        job: The run; its seed is also that of the data.
        out: The run's folder.
        progress: Whether to show a progress bar (on a terminal) and a line an epoch.

    Returns:
        The metrics, as in `metrics.json`.

    Raises:
        UserError: Settings under which hardly any example is valid, a checkpoint of other settings, a folder that
            cannot be written or that another process trains in, or a loss that is no number.
        Stopped: SIGTERM or SIGINT came; the run can go on from its last epoch.
    """
    data = make_shortest_paths(job.recipe.data, job.seed)
    files = (*FILES, PREDICTIONS)
    return train_to_the_end(job, data.fingerprint, out, lambda: start_training_paths(job, data, out), progress, files)


def start_training_paths(job: Job[PathRecipe], data: ShortestPaths, out: Path) -> Resumable[PathRecipe]:
    """A run on shortest paths before its next epoch: its first, or the one that a killed run had not ended.

    Raises:
        UserError: A checkpoint that is damaged or of other settings.
    """
    return _Training(job, data, out)


class _Training(Resumable[PathRecipe]):
    """The state of a run between two epochs."""

    def __init__(self, job: Job[PathRecipe], data: ShortestPaths, out: Path) -> None:
        recipe = job.recipe
        self.data = data
        self.train_sets = [on_device(phase.train, job.device) for phase in data.phases]
        self.test_sets = [on_device(phase.test, job.device) for phase in data.phases]
        self.extrapolation: list[list[PathScore]] = []  # [phases trained so far][phase tested]
        self.anew: list[list[PathScore]] = []  # the same with statistics anew, where they are asked for
        self.positive_weight = torch.tensor(recipe.positive_weight, device=job.device)
        seed_weights(job.seed)
        model = create_model(job.model, coefficients=recipe.coefficients, skip=recipe.skip)
        super().__init__(job, data.fingerprint, out, model, self._fresh_adam)
        self.resume()

    def _fresh_adam(self, model: nn.Module) -> torch.optim.Optimizer:
        fused = self.job.device.type in ("cpu", "cuda")
        return torch.optim.Adam(parameter_groups(model, 0.0), lr=self.job.recipe.learning_rate, fused=fused)

    def state(self) -> dict[str, Any]:
        """What the checkpoint holds."""
        anew = {"anew": _plain(self.anew)} if self.job.recipe.statistics_anew else {}
        return super().state() | {"extrapolation": _plain(self.extrapolation)} | anew

    def restore(self, found: dict[str, Any]) -> None:
        """Takes up what a checkpoint held."""
        super().restore(found)
        self.extrapolation = _scores(found["extrapolation"])
        self.anew = _scores(found["anew"]) if self.job.recipe.statistics_anew else []

    def run_epoch(self, epoch: int, progress: bool) -> None:
        """Trains one epoch, counted from 0 through all phases, evaluates, and adds a row to the history.

        After the last epoch of a phase the network is tested on all phases. Where the recipe asks for statistics anew,
        a copy with them is tested as the network is.
        """
        recipe, clock = self.job.recipe, time.perf_counter()
        phase = recipe.phase_of(epoch)
        if recipe.adam_state == "fresh" and recipe.begins_phase(epoch):
            self.optimizer = self._fresh_adam(self.model)
        loss = self._train_steps(self.train_sets[phase], epoch, progress)
        seconds = time.perf_counter() - clock
        test = self._evaluate(epoch, self.network, self.model, self.extrapolation)
        anew: dict[str, float] = {}
        if recipe.statistics_anew:
            model = self._with_statistics_anew(phase)
            score = self._evaluate(epoch, model, model, self.anew)
            anew = {"anew_loss": score.loss, "anew_f1": score.f1}
        evaluation_seconds = time.perf_counter() - clock - seconds
        if epoch + 1 in recipe.similarity_epochs:
            self.similarity.add(self.model, epoch + 1)
        self.history.append(
            {
                "epoch": epoch + 1,
                "phase": phase + 1,
                "train_loss": loss,
                "test_loss": test.loss,
                "test_f1": test.f1,
                **anew,
                "seconds": round(seconds, 3),
                "evaluation_seconds": round(evaluation_seconds, 3),
            }
        )
        self.end_epoch(epoch, time.perf_counter() - clock)
        if progress:
            tqdm.write(
                f"epoch {self.epoch}/{recipe.all_epochs}, phase {phase + 1}: train loss {loss:.4f}, "
                f"test F1 {test.f1:.4f}, {recipe.train / seconds:.0f} images/s, {self.minutes_left:.1f} min left"
            )

    def _train_steps(self, examples: PathSet, epoch: int, progress: bool) -> float:
        batch_size = self.job.recipe.batch_size
        order = epoch_order(len(examples), self.job.seed, epoch).to(self.job.device)
        batches = path_batches(examples, batch_size, order)
        return self.take_steps(batches, len(examples), batch_size, epoch, progress)

    def loss_of(self, output: Tensor, targets: Tensor) -> Tensor:
        """Mean binary cross-entropy of all points, those on a path weighted."""
        return nn.functional.binary_cross_entropy_with_logits(output, targets, pos_weight=self.positive_weight)

    def _with_statistics_anew(self, phase: int) -> nn.Module:
        """A copy of the network, with batch norm's statistics over the first training examples of a phase."""
        recipe, examples = self.job.recipe, self.train_sets[phase]
        first = PathSet(examples.inputs[: recipe.statistics_anew], examples.labels[: recipe.statistics_anew])
        return with_statistics_anew(self.model, first, recipe.batch_size, self.job.precision)

    def _evaluate(self, epoch: int, network: Network, model: nn.Module, at_ends: list[list[PathScore]]) -> PathScore:
        """The score on the phase's test set; at a phase's end those on all test sets are added to `at_ends`."""
        phase = self.job.recipe.phase_of(epoch)
        test = self._score(self.test_sets[phase], network, model)
        if self.job.recipe.ends_phase(epoch):
            at_ends.append(
                [
                    test if number == phase else self._score(each, network, model)
                    for number, each in enumerate(self.test_sets)
                ]
            )
        return test

    def _score(self, examples: PathSet, network: Network, model: nn.Module) -> PathScore:
        try:
            return evaluate_paths(network, model, examples, self.job.precision)
        except DivergedError as error:
            raise DivergedError(
                f"{error.problem} at the end of epoch {len(self.history) + 1}", file=self.out
            ) from error

    def finish(self) -> dict[str, Any]:
        """Writes the run's folder, `metrics.json` last, and removes the checkpoint.

        `predictions.npz` holds, for the first test examples of each phase and the final network: `inputs`
        [phases, N, 2, side, side], `labels` [phases, N, side, side] and `probabilities`, float32 of the same shape.
        """
        self._save_predictions(self.out / PREDICTIONS)
        anew = {"anew": _told(self.anew)} if self.job.recipe.statistics_anew else {}
        running = _told(self.extrapolation)
        return self.write_folder(
            dataset={
                "name": self.job.dataset,
                "source": f"drawn with seed {self.data.seed}",
                "seed": self.data.seed,
                "fingerprint": self.data.fingerprint,
                "settings": dataclasses.asdict(self.data.settings),
            },
            metrics={
                "test": running["test"] | {"examples": self.job.recipe.test},
                "extrapolation": running["extrapolation"],
                **anew,
                "validation": None,
                "train_loss": self.history[-1]["train_loss"],
            },
        )

    def _save_predictions(self, file: Path) -> None:
        kept = [PathSet(each.inputs[:PREDICTED], each.labels[:PREDICTED]) for each in self.test_sets]
        probabilities = [predict_paths(self.model, each, self.job.precision) for each in kept]
        with written_whole(file) as temporary, temporary.open("wb") as opened:
            np.savez(
                opened,
                allow_pickle=False,
                inputs=torch.stack([each.inputs for each in kept]).cpu().numpy(),
                labels=torch.stack([each.labels for each in kept]).cpu().numpy(),
                probabilities=np.stack(probabilities),
            )


def _plain(matrix: list[list[PathScore]]) -> list[list[dict[str, Any]]]:
    """Scores as a checkpoint holds them."""
    return [[dataclasses.asdict(score) for score in row] for row in matrix]


def _scores(matrix: list[list[dict[str, Any]]]) -> list[list[PathScore]]:
    """Scores out of a checkpoint."""
    return [[PathScore(**score) for score in row] for row in matrix]


def _told(matrix: list[list[PathScore]]) -> dict[str, Any]:
    """Scores at the ends of phases, [phases trained][phases tested], as `metrics.json` tells them."""
    at_ends = [row[phase] for phase, row in enumerate(matrix)]
    return {
        "test": {"f1": [score.f1 for score in at_ends], "loss": [score.loss for score in at_ends]},
        "extrapolation": [[score.f1 for score in row] for row in matrix],
    }
