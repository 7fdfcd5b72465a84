"""Training on images, from a run's settings to its folder; resumed after a kill, it ends with the same bits on a CPU.

Order and augmentation of an epoch are drawn by the loader from (seed, epoch), dropout from torch's generator seeded
with them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from softshare.data.loaders import Loader
from softshare.data.photograph_colours import MEAN, STD
from softshare.data.photographs import PhotographSet
from softshare.data.seeding import epoch_seed
from softshare.files import write_json
from softshare.models import create_model
from softshare.sharing import parameter_groups
from softshare.training.divergence import DivergedError
from softshare.training.evaluation import Score, evaluate
from softshare.training.job import Job
from softshare.training.loading import Images, make_loaders
from softshare.training.recipe import Classification
from softshare.training.resumable import Resumable, seed_weights
from softshare.training.to_the_end import train_to_the_end


def train(job: Job[Any], images: Images, out: Path, *, progress: bool = True) -> dict[str, Any]:
    """Trains a run and writes its folder; goes on from the checkpoint that an earlier, killed one left.

    A run that is complete is left as it is.

    Args:
        job: The run.
        images: Its dataset.
        out: The run's folder.
        progress: Whether to show a progress bar (on a terminal) and a line an epoch.

    Returns:
        The metrics, as in `metrics.json`.

    Raises:
        UserError: A checkpoint of other settings, a folder that cannot be written or that another process trains
            in, or a loss that is no number.
        Stopped: SIGTERM or SIGINT came; the run can go on from its last epoch.
    """
    return train_to_the_end(job, images.fingerprint, out, lambda: start_training(job, images, out), progress)


def start_training(job: Job[Any], images: Images, out: Path) -> Resumable[Classification]:
    """A run on images before its next epoch: its first, or the one that a killed run had not ended.

    Raises:
        UserError: A checkpoint that is damaged or of other settings.
    """
    return _Training(job, images, out)


class _Training(Resumable[Classification]):
    """The state of a run on images between two epochs."""

    def __init__(self, job: Job[Any], images: Images, out: Path) -> None:
        recipe = job.recipe
        self.images = images
        seed_weights(job.seed)
        settings = recipe.model_settings | {"coefficients": recipe.coefficients}
        model = create_model(job.model, len(images.classes), **settings)
        super().__init__(job, images.fingerprint, out, model, lambda model: _optimizer(model, recipe, job.device))
        self.loaders = make_loaders(job, images)
        self.wrong = torch.zeros((), dtype=torch.int64, device=job.device)  # training images so far in this epoch
        # Processes see different images: each draws masks of its own.
        self._dropout = f"dropout of process {job.processes.rank}" if job.processes.rank else "dropout"
        self.resume()

    def run_epoch(self, epoch: int, progress: bool) -> None:
        """Trains one epoch, counted from 0, evaluates, and adds a row to the history."""
        recipe, clock = self.job.recipe, time.perf_counter()
        torch.manual_seed(epoch_seed(self.job.seed, epoch, self._dropout))
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate_at(epoch)
        loss, wrong = self._train_steps(epoch, progress)
        self.job.processes.give_buffers(self.model)
        seconds = time.perf_counter() - clock
        count = self.loaders.train.count
        if epoch + 1 in recipe.similarity_epochs:
            self.similarity.add(self.model, epoch + 1)
        test = self._score(self.loaders.test)
        row: dict[str, Any] = {
            "epoch": epoch + 1,
            "learning_rate": recipe.learning_rate_at(epoch),
            "train_loss": loss,
            "train_error": 100.0 * wrong / count,
            "test_loss": test.loss,
            "test_error": test.error,
            "test_top5_error": test.top5_error,
        }
        if self.loaders.validation:
            validation = self._score(self.loaders.validation)
            row |= {"validation_loss": validation.loss, "validation_error": validation.error}
        self.history.append(row | {"seconds": round(seconds, 3), "images_per_second": round(count / seconds, 1)})
        self.end_epoch(epoch, time.perf_counter() - clock)
        if progress:
            tqdm.write(
                f"epoch {self.epoch}/{recipe.epochs}: train loss {loss:.3f}, test error {test.error:.2f} %, "
                f"{count / seconds:.0f} images/s, {self.minutes_left:.1f} min left"
            )

    def _train_steps(self, epoch: int, progress: bool) -> tuple[float, int]:
        self.wrong.zero_()
        loader = self.loaders.train
        loss = self.take_steps(loader.epoch(epoch), loader.count, loader.batch_size, epoch, progress)
        return loss, int(self.job.processes.sum(self.wrong))

    def loss_of(self, output: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy; counts what is wrong."""
        self.wrong.add_((output.detach().argmax(1) != targets).sum())
        return nn.functional.cross_entropy(output, targets, label_smoothing=self.job.recipe.label_smoothing)

    def _score(self, loader: Loader) -> Score:
        try:
            return evaluate(self.network, self.model, loader, self.job.precision, self.job.processes)
        except DivergedError as error:
            raise DivergedError(
                f"{error.problem} at the end of epoch {len(self.history) + 1}", file=self.out
            ) from error

    def finish(self) -> dict[str, Any]:
        """Writes the run's folder, `metrics.json` last, and removes the checkpoint."""
        images = self.images
        if self.loaders.held_out and self.job.processes.first:
            write_json(self.out / "validation_indices.json", self.loaders.held_out)
        best = min(self.history, key=lambda row: row["test_error"])
        return self.write_folder(
            dataset=_described(images),
            metrics={
                "test": self._score(self.loaders.test).as_json(),
                "best": {"error": best["test_error"], "epoch": best["epoch"]},
                "validation": self._score(self.loaders.validation).as_json() if self.loaders.validation else None,
                "train_loss": self.history[-1]["train_loss"],
            },
        )


def _described(images: Images) -> dict[str, Any]:
    """What the manifest tells of the data."""
    told: dict[str, Any] = {"name": images.name, "source": images.source, "fingerprint": images.fingerprint}
    if isinstance(images, PhotographSet):
        counts = {"train_images": len(images.train), "test_images": len(images.validation)}
        told |= {"mean": list(MEAN), "std": list(STD), **counts, "notes": list(images.notes)}
        return told | {"left_out": list(images.damaged)}
    return told | {"mean": list(images.mean), "std": list(images.std)}


def _optimizer(model: nn.Module, recipe: Classification, device: torch.device) -> torch.optim.Optimizer:
    groups = parameter_groups(model, recipe.weight_decay)
    fused = device.type in ("cpu", "cuda")
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.learning_rate, fused=fused)
    return torch.optim.SGD(
        groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=fused
    )
