"""A run that can be killed: its state between two epochs, the step that every task takes, and the folder it leaves.

Every epoch starts from (seed, epoch) and the checkpoint alone, so that a run which was killed and resumed ends with
the same bits on a CPU. What is trained on, and how it is scored, the engines of the tasks tell (`engine`,
`path_engine`).
"""

from __future__ import annotations

import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic

import torch
from torch import Tensor, nn
from tqdm import tqdm

from softshare.data.seeding import epoch_seed
from softshare.errors import UserError
from softshare.files import write_json
from softshare.models.weights import write_weights
from softshare.runfiles import CHECKPOINT, HISTORY, MANIFEST, METRICS, SIMILARITY, WEIGHTS
from softshare.sharing import recurrence_penalty
from softshare.training.batch_norm import synchronise_batch_norm
from softshare.training.checkpoint import REMEDY, load_checkpoint, save_checkpoint
from softshare.training.device import autocast, compiled, describe_device, peak_memory_bytes, use_precision
from softshare.training.divergence import DivergedError
from softshare.training.job import Job, RecipeT
from softshare.training.record import SimilarityRecord, add_stretch, provenance, save_history, unshared_of
from softshare.training.recorded_step import RecordedStep
from softshare.training.state_checks import check_state
from softshare.training.walltime import require_epoch_fits, seconds_beside_steps, time_of_this_job


def seed_weights(seed: int) -> None:
    """Lets torch draw a run's first weights from its seed alone."""
    torch.manual_seed(epoch_seed(seed, 0, "weights"))


class Resumable(ABC, Generic[RecipeT]):
    """The state of a run between two epochs.

    Whoever inherits calls `resume` at the end of its constructor.

    Args:
        job: The run.
        fingerprint: Of its data.
        out: The run's folder.
        model: The network with its first weights.
        make_optimizer: Makes the optimiser, once the network lies on its device.
    """

    def __init__(
        self,
        job: Job[RecipeT],
        fingerprint: str,
        out: Path,
        model: nn.Module,
        make_optimizer: Callable[[nn.Module], torch.optim.Optimizer],
    ) -> None:
        if job.device.type == "cuda" and job.device.index is not None:  # else it is the current one
            torch.cuda.set_device(job.device)  # whose streams and graphs are used
        torch.backends.cudnn.deterministic = True  # algorithms that repeat themselves
        use_precision(job.precision, job.device)
        self.job, self.out = job, out
        self.identity = job.identity(fingerprint)
        self.model = model.to(job.device).to(memory_format=torch.channels_last)
        if job.processes.count > 1 and job.batch_norm == "synchronised":
            self.model = synchronise_batch_norm(self.model, job.device)
        self.network = compiled(self.model, job.device) if job.compile else self.model
        self.trained_network = job.processes.averaging(self.network, job.device)
        self.scaler = torch.amp.GradScaler(job.device.type, enabled=job.precision == "fp16")
        self.optimizer = make_optimizer(self.model)
        self.part = 1.0  # of a batch's mean loss, of this process
        # Without a circle, so that what a run holds on a GPU is free as soon as nobody holds the run.
        this = weakref.proxy(self)
        self.gradients_of = RecordedStep(self.model, lambda *batch: this._backward(*batch), job.records)
        self.similarity = SimilarityRecord()
        self.history: list[dict[str, Any]] = []
        self.epoch = self.first_epoch = 0  # the first of this process
        self.seconds = 0.0  # of training and evaluation, summed over restarts
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.earlier_wall_seconds = 0.0
        # Read when training begins, not when it ends: meanwhile somebody may commit.
        self.provenance = provenance()
        self.stretches: list[dict[str, Any]] = []
        self.clock = time.perf_counter()

    @abstractmethod
    def run_epoch(self, epoch: int, progress: bool) -> None:
        """Trains one epoch, counted from 0, evaluates, and adds a row to the history."""

    @abstractmethod
    def loss_of(self, output: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of some examples, from the network's output in fp32 and the targets.

        It may be recorded (`RecordedStep`): what it reads and writes besides must lie at a fixed place.
        """

    @abstractmethod
    def finish(self) -> dict[str, Any]:
        """Ends the run with `write_folder`, and gives its metrics."""

    @property
    def checkpoint(self) -> Path:
        """The checkpoint's file."""
        return self.out / CHECKPOINT

    @property
    def wall_seconds(self) -> float:
        """Since the run began, over all its restarts."""
        return self.earlier_wall_seconds + time.perf_counter() - self.clock

    def state(self) -> dict[str, Any]:
        """What the checkpoint holds."""
        return {
            "identity": self.identity,
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "similarity": self.similarity.state(),
            "history": self.history,
            "seconds": self.seconds,
            "started": self.started,
            "wall_seconds": self.wall_seconds,
            "stretches": self.stretches,
        }

    def restore(self, found: dict[str, Any]) -> None:
        """Takes up what a checkpoint held."""
        self.model.load_state_dict(found["model"])
        self.optimizer.load_state_dict(found["optimizer"])
        self.scaler.load_state_dict(found["scaler"])
        self.similarity = SimilarityRecord(found["similarity"])
        self.history = found["history"]
        self.epoch = found["epoch"]
        self.seconds = found["seconds"]
        self.started = found["started"]
        self.earlier_wall_seconds = found["wall_seconds"]
        self.stretches = found["stretches"]

    def resume(self) -> None:
        """Goes on from the checkpoint, if there is one.

        Raises:
            UserError: It is damaged, or of another run.
        """
        found = load_checkpoint(self.checkpoint, self.identity)
        try:
            if found is not None:
                check_state(found, self.job.recipe.all_epochs, self.optimizer)
                self.restore(found)
            self.first_epoch = self.epoch
            device = describe_device(self.job.device)
            self.stretches = add_stretch(self.stretches, self.epoch + 1, self.provenance, device)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, IndexError) as error:
            raise UserError("the checkpoint does not fit the run", file=self.checkpoint, remedy=REMEDY) from error

    def save(self) -> None:
        """Writes the checkpoint and the history so far."""
        if self.job.processes.first:
            save_checkpoint(self.checkpoint, self.state())
            save_history(self.out / HISTORY, self.history)
        self.job.processes.wait()

    def take_steps(
        self,
        batches: Iterable[tuple[Tensor, Tensor]],
        count: int,
        batch_size: int,
        epoch: int,
        progress: bool,
    ) -> float:
        """Trains on an epoch's batches, a step each.

        Args:
            batches: Inputs and targets, on the device: this process's part of each batch.
            count: Examples in all of them, of all processes.
            batch_size: Examples a batch, of all processes; the last may be smaller.
            epoch: Counted from 0.
            progress: Whether to show a progress bar on a terminal.

        Returns:
            The mean loss over all examples, without the recurrence penalty.

        Raises:
            UserError: A loss is no number, or the job ends before the epoch would.
        """
        job = self.job
        if epoch == self.first_epoch:  # once one has ended, the job has not run for nothing
            beside = seconds_beside_steps(self.history, self.seconds)
            count_here = count // job.processes.count
            wait = torch.cuda.synchronize if job.device.type == "cuda" else lambda: None
            batches = require_epoch_fits(batches, count_here, self.out, time_of_this_job(), beside, wait)
        self.model.train()
        losses = []  # on the device: reading them there would wait for each batch
        label = f"epoch {epoch + 1}/{job.recipe.all_epochs}"
        with tqdm(total=count, unit="img", desc=label, leave=False, disable=not progress or None) as bar:
            for step, (inputs, targets) in enumerate(batches):
                whole = min(batch_size, count - step * batch_size)
                # Gradients are averaged over processes, whose parts may differ by an example.
                self.part = len(targets) * job.processes.count / whole
                loss = self.gradients_of(inputs, targets)
                self.scaler.step(self.optimizer)
                self.scaler.update()
                losses.append(loss * len(targets))
                bar.update(whole)
        summed = job.processes.sum(torch.stack(losses))
        finite = summed.isfinite()
        if not finite.all():
            step = int(finite.logical_not().nonzero()[0])
            raise DivergedError(f"the loss is no number at epoch {epoch + 1}, step {step + 1}", file=self.out)
        return float(summed.double().sum()) / count

    def _backward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Computes the gradients of a batch; returns its loss, without the recurrence penalty."""
        job, recurrence = self.job, self.job.recipe.recurrence
        with autocast(job.device, job.precision):
            output = self.trained_network(inputs)
        loss = self.loss_of(output.float(), targets)
        objective = loss if job.processes.count == 1 else loss * self.part
        if recurrence:
            objective = objective - recurrence * recurrence_penalty(self.model)
        self.scaler.scale(objective).backward()
        return loss.detach()

    def end_epoch(self, epoch: int, seconds: float) -> None:
        """Counts an epoch that took so many seconds."""
        self.epoch = epoch + 1
        self.seconds += seconds

    @property
    def minutes_left(self) -> float:
        """What the epochs that are left will take at the pace so far."""
        return self.seconds / self.epoch * (self.job.recipe.all_epochs - self.epoch) / 60

    def write_folder(self, dataset: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
        """Writes the run's folder, `metrics.json` last, and removes the checkpoint. Of several processes, the first.

        Args:
            dataset: What the manifest tells of the data.
            metrics: The final numbers.

        Returns:
            The metrics with the run's key, as written.
        """
        job, out = self.job, self.out
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        metrics = {**job.key, "epochs": job.recipe.all_epochs, "parameters": parameters, **metrics}
        if not job.processes.first:
            return metrics
        write_weights(out / WEIGHTS, self.model, job.key)
        self.similarity.save(out / SIMILARITY, unshared_of(self.model, job.model))
        save_history(out / HISTORY, self.history)
        manifest = {
            "identity": self.identity,
            "settings": job.key | job.recipe.settings(),
            "scale": job.scale,
            "precision": job.precision,
            "compile": job.compile,
            "cuda_graph": job.records,
            "processes": job.processes.count,
            "batch_norm": job.batch_norm,
            "loader": job.loader,
            "device": describe_device(job.device),
            "threads": torch.get_num_threads(),
            "dataset": dataset,
            "started": self.started,
            "wall_seconds": round(self.wall_seconds, 2),
            "device_seconds": round(self.seconds * job.processes.count, 2),
            "peak_memory_bytes": peak_memory_bytes(job.device),
            **self.provenance,
            "stretches": self.stretches,
        }
        write_json(out / MANIFEST, manifest)
        write_json(out / METRICS, metrics)
        (out / CHECKPOINT).unlink(missing_ok=True)
        return metrics
