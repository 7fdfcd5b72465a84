"""One run, as it was asked for: what is trained, how, and where it computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch

from softshare.names import PHOTOGRAPHS
from softshare.sharing import native
from softshare.training.processes import ALONE, Processes

# Whose images batch norm takes its statistics over: each process its own, or all of them.
BatchNorm = Literal["own", "synchronised"]


class Settings(Protocol):
    """A recipe, whatever its task."""

    def settings(self) -> dict[str, Any]:
        """As plain values."""

    @property
    def recurrence(self) -> float:
        """lambda_R, weight of the recurrence regulariser (section 3.2)."""

    @property
    def all_epochs(self) -> int:
        """Epochs of the whole training."""


RecipeT = TypeVar("RecipeT", bound=Settings)


@dataclass(frozen=True)
class Job(Generic[RecipeT]):
    """One run: what is trained, how, and where it computes.

    The loader, resolved, and the file that FFCV reads are no part of its identity: all loaders give the same bits, so a
    run may go on with another one than it began with. But for photographs: what FFCV decodes has pixels of its own.

    Attributes:
        dataset: Name of what is trained on.
        model: Name of the network.
        recipe_name: Name of the recipe.
        recipe: Its settings, with what is given in their place.
        seed: From which weights, orders and augmentation follow.
        device: Where it computes.
        precision: A resolved precision (`device.PRECISIONS`).
        compile: Whether the network is compiled.
        processes: Those that share each batch.
        batch_norm: Whose images its statistics are of, where there are several processes.
        scale: The scale whose shortened training is applied; None = the recipe's own.
        curves: Whether TensorBoard's event files are written.
        workers: Processes that decode photographs; the bits are the same with any number.
        loader: What loads images: `tensor`, `torchvision` or `ffcv`.
        beton: The file that FFCV reads.
        cuda_graph: Whether steps may be recorded (see `records`).
        decoding: Of photographs by FFCV (`data.ffcv_photographs.decoding_of`); empty: the originals.
    """

    dataset: str
    model: str
    recipe_name: str
    recipe: RecipeT
    seed: int
    device: torch.device
    precision: str
    compile: bool = False
    processes: Processes = ALONE
    batch_norm: BatchNorm = "own"
    scale: str | None = None
    curves: bool = False
    workers: int = 0
    loader: str = "tensor"
    beton: Path = Path()
    cuda_graph: bool = True
    decoding: str = ""

    @property
    def key(self) -> dict[str, Any]:
        """What names the run."""
        return {"dataset": self.dataset, "model": self.model, "recipe": self.recipe_name, "seed": self.seed}

    @property
    def records(self) -> bool:
        """Whether steps are recorded and replayed (`recorded_step`): on a GPU, where Python keeps it waiting.

        Photographs keep it busy, and the last batch of an epoch, taken by itself, would ask for as much memory again. A
        compiled network is recorded by torch.
        """
        asked = self.cuda_graph and not self.compile and self.device.type == "cuda" and self.processes.count == 1
        return asked and self.precision != "fp16" and self.dataset not in PHOTOGRAPHS

    def identity(self, fingerprint: str) -> dict[str, Any]:
        """All on which the result depends; on a CPU, two runs of one identity end with the same bits."""
        where = {"device": self.device.type, "precision": self.precision, "compile": self.compile}
        threads: dict[str, Any] = {}
        if self.device.type == "cpu":
            threads |= {"threads": torch.get_num_threads(), "compiled synthesis": native.library() is not None}
        if self.processes.count > 1:
            threads |= {"processes": self.processes.count, "batch norm": self.batch_norm}
        decoding = {"decoding": self.decoding} if self.decoding else {}
        made_with = {"torch": str(torch.__version__), "fingerprint": fingerprint}
        return self.key | self.recipe.settings() | where | threads | decoding | made_with
