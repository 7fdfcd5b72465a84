"""Training one run, from its settings to its folder; resumed after a kill, it ends with the same bits on a CPU.

Every epoch starts from (seed, epoch) and the checkpoint alone: order and augmentation are drawn by the loader from
them, dropout from torch's generator seeded with them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from softshare.data.augment import Augmentation
from softshare.data.images import ImageSet
from softshare.data.loaders import TensorLoader, split_validation
from softshare.data.seeding import epoch_seed
from softshare.errors import UserError
from softshare.files import read_json, write_json
from softshare.models import create_model
from softshare.sharing import native, parameter_groups, recurrence_penalty
from softshare.training.checkpoint import load_checkpoint, require_same_run, save_checkpoint
from softshare.training.device import autocast, describe_device, peak_memory_bytes
from softshare.training.evaluation import Score, evaluate
from softshare.training.lock import alone_in
from softshare.training.recipe import Recipe
from softshare.training.record import SimilarityRecord, provenance, save_history, save_weights
from softshare.training.stopping import stops_cleanly

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Job:
    """One run: what is trained, how, and where it computes."""

    dataset: str
    model: str
    recipe_name: str
    recipe: Recipe
    seed: int
    device: torch.device
    precision: str
    compile: bool = False
    scale: str | None = None

    def identity(self, fingerprint: str) -> dict[str, Any]:
        """All on which the result depends; on a CPU, two runs of one identity end with the same bits."""
        names = {"dataset": self.dataset, "model": self.model, "recipe": self.recipe_name, "seed": self.seed}
        where = {"device": self.device.type, "precision": self.precision, "compile": self.compile}
        threads = {"threads": torch.get_num_threads()} if self.device.type == "cpu" else {}
        arithmetic = {"torch": str(torch.__version__), "compiled synthesis": native.library() is not None}
        return names | self.recipe.settings() | where | threads | arithmetic | {"fingerprint": fingerprint}


def train(job: Job, images: ImageSet, out: Path, *, progress: bool = True) -> dict[str, Any]:
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
    if (out / "metrics.json").exists():
        found = read_json(out / "manifest.json").get("identity", {})
        require_same_run(found, job.identity(images.fingerprint), out / "manifest.json")
        (out / CHECKPOINT).unlink(missing_ok=True)
        return read_json(out / "metrics.json")
    with alone_in(out), stops_cleanly():
        training = _Training(job, images, out)
        for epoch in range(training.epoch, job.recipe.epochs):
            training.run_epoch(epoch, progress)
            training.save()
        return training.finish()


class _Training:
    """The state of a run between two epochs."""

    def __init__(self, job: Job, images: ImageSet, out: Path) -> None:
        self.job, self.images, self.out = job, images, out
        self.identity = job.identity(images.fingerprint)
        recipe, device = job.recipe, job.device
        torch.backends.cudnn.deterministic = True  # algorithms that repeat themselves
        torch.manual_seed(epoch_seed(job.seed, 0, "weights"))
        model = create_model(job.model, len(images.classes), recipe.dropout, coefficients=recipe.coefficients)
        self.model = model.to(device).to(memory_format=torch.channels_last)
        self.network: Callable[[Tensor], Tensor] = (
            torch.compile(self.model, dynamic=False) if job.compile else self.model
        )
        self.optimizer = _optimizer(self.model, recipe, device)
        self.similarity = SimilarityRecord()
        self.history: list[dict[str, Any]] = []
        self.epoch = 0
        self.seconds = 0.0  # of training and evaluation, summed over restarts
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.earlier_wall_seconds = 0.0
        self.clock = time.perf_counter()
        self._make_loaders()
        self._resume()

    def _make_loaders(self) -> None:
        images, recipe = self.images, self.job.recipe
        common: dict[str, Any] = {
            "mean": images.mean,
            "std": images.std,
            "device": self.job.device,
            "channels_last": True,
        }
        kept, held_out = split_validation(len(images.train_labels), recipe.validation, self.job.seed)
        self.held_out = held_out.tolist()
        augmentation = Augmentation(images.flip, images.pad, recipe.padding, recipe.cutout)
        self.train_loader = TensorLoader(
            images.train_images[kept],
            images.train_labels[kept],
            batch_size=recipe.batch_size,
            augmentation=augmentation,
            seed=self.job.seed,
            shuffle=True,
            **common,
        )
        batch = 500
        self.test_loader = TensorLoader(images.test_images, images.test_labels, batch_size=batch, **common)
        self.validation_loader = (
            TensorLoader(images.train_images[held_out], images.train_labels[held_out], batch_size=batch, **common)
            if self.held_out
            else None
        )

    @property
    def _checkpoint(self) -> Path:
        return self.out / CHECKPOINT

    def _resume(self) -> None:
        found = load_checkpoint(self._checkpoint, self.identity)
        if found is None:
            return
        self.model.load_state_dict(found["model"])
        self.optimizer.load_state_dict(found["optimizer"])
        self.similarity = SimilarityRecord(found["similarity"])
        self.history = found["history"]
        self.epoch = found["epoch"]
        self.seconds = found["seconds"]
        self.started = found["started"]
        self.earlier_wall_seconds = found["wall_seconds"]

    @property
    def _wall_seconds(self) -> float:
        return self.earlier_wall_seconds + time.perf_counter() - self.clock

    def save(self) -> None:
        """Writes the checkpoint and the history so far."""
        save_checkpoint(
            self._checkpoint,
            {
                "identity": self.identity,
                "epoch": self.epoch,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "similarity": self.similarity.state(),
                "history": self.history,
                "seconds": self.seconds,
                "started": self.started,
                "wall_seconds": self._wall_seconds,
            },
        )
        save_history(self.out / "history.csv", self.history)

    def run_epoch(self, epoch: int, progress: bool) -> None:
        """Trains one epoch, counted from 0, evaluates, and adds a row to the history."""
        recipe, clock = self.job.recipe, time.perf_counter()
        torch.manual_seed(epoch_seed(self.job.seed, epoch, "dropout"))
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate_at(epoch)
        losses, wrong = self._train_steps(epoch, progress)
        seconds = time.perf_counter() - clock
        count = len(self.train_loader.images)
        if epoch + 1 in recipe.similarity_epochs:
            self.similarity.add(self.model, epoch + 1)
        test = self._score(self.test_loader)
        row: dict[str, Any] = {
            "epoch": epoch + 1,
            "learning_rate": recipe.learning_rate_at(epoch),
            "train_loss": losses,
            "train_error": 100.0 * wrong / count,
            "test_loss": test.loss,
            "test_error": test.error,
            "test_top5_error": test.top5_error,
        }
        if self.validation_loader:
            validation = self._score(self.validation_loader)
            row |= {"validation_loss": validation.loss, "validation_error": validation.error}
        self.history.append(row | {"seconds": round(seconds, 3), "images_per_second": round(count / seconds, 1)})
        self.epoch = epoch + 1
        self.seconds += time.perf_counter() - clock
        if progress:
            left = self.seconds / self.epoch * (recipe.epochs - self.epoch)
            tqdm.write(
                f"epoch {self.epoch}/{recipe.epochs}: train loss {losses:.3f}, test error {test.error:.2f} %, "
                f"{count / seconds:.0f} images/s, {left / 60:.1f} min left"
            )

    def _train_steps(self, epoch: int, progress: bool) -> tuple[float, int]:
        job, recipe = self.job, self.job.recipe
        self.model.train()
        losses = torch.zeros(len(self.train_loader), device=job.device)
        wrong = torch.zeros((), dtype=torch.int64, device=job.device)
        batches = self.train_loader.epoch(epoch)
        label = f"epoch {epoch + 1}/{recipe.epochs}"
        bar = tqdm(
            total=len(self.train_loader.images),
            unit="img",
            desc=label,
            leave=False,
            disable=not progress or None,
        )
        with bar:
            for step, (inputs, labels) in enumerate(batches):
                with autocast(job.device, job.precision):
                    scores = self.network(inputs)
                loss = nn.functional.cross_entropy(scores.float(), labels, label_smoothing=recipe.label_smoothing)
                objective = loss
                if recipe.recurrence:
                    objective = loss - recipe.recurrence * recurrence_penalty(self.model)
                self.optimizer.zero_grad(set_to_none=True)
                objective.backward()
                self.optimizer.step()
                losses[step] = loss.detach() * len(labels)
                wrong += (scores.detach().argmax(1) != labels).sum()
                bar.update(len(labels))
        finite = losses.isfinite()
        if not finite.all():
            step = int(finite.logical_not().nonzero()[0])
            raise UserError(
                f"the loss is no number at epoch {epoch + 1}, step {step + 1}",
                file=self.out,
                remedy="lower the learning rate, or train in fp32",
            )
        return float(losses.double().sum()) / len(self.train_loader.images), int(wrong)

    def _score(self, loader: TensorLoader) -> Score:
        return evaluate(self.network, self.model, loader, self.job.precision)

    def finish(self) -> dict[str, Any]:
        """Writes the run's folder, `metrics.json` last, and removes the checkpoint."""
        job, out = self.job, self.out
        key = {"dataset": job.dataset, "model": job.model, "recipe": job.recipe_name, "seed": job.seed}
        save_weights(out / "model.safetensors", self.model, key)
        self.similarity.save(out / "similarity.npz")
        save_history(out / "history.csv", self.history)
        if self.held_out:
            write_json(out / "validation_indices.json", self.held_out)
        manifest = {
            "identity": self.identity,
            "settings": key | job.recipe.settings(),
            "scale": job.scale,
            "precision": job.precision,
            "compile": job.compile,
            "loader": "tensor",
            "device": describe_device(job.device),
            "threads": torch.get_num_threads(),
            "dataset": {
                "name": self.images.name,
                "source": self.images.source,
                "fingerprint": self.images.fingerprint,
                "mean": list(self.images.mean),
                "std": list(self.images.std),
            },
            "started": self.started,
            "wall_seconds": round(self._wall_seconds, 2),
            "device_seconds": round(self.seconds, 2),
            "peak_memory_bytes": peak_memory_bytes(job.device),
            **provenance(),
        }
        write_json(out / "manifest.json", manifest)
        best = min(self.history, key=lambda row: row["test_error"])
        metrics = {
            **key,
            "epochs": job.recipe.epochs,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "test": self._score(self.test_loader).as_json(),
            "best": {"error": best["test_error"], "epoch": best["epoch"]},
            "validation": self._score(self.validation_loader).as_json() if self.validation_loader else None,
            "train_loss": self.history[-1]["train_loss"],
        }
        write_json(out / "metrics.json", metrics)
        self._checkpoint.unlink(missing_ok=True)
        return metrics


def _optimizer(model: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    groups = parameter_groups(model, recipe.weight_decay)
    fused = device.type in ("cpu", "cuda")
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.learning_rate, fused=fused)
    return torch.optim.SGD(
        groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=fused
    )
