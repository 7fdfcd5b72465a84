"""A training whose loss became no number: told in its folder, for a run left out unsaid would flatter the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from softshare.errors import UserError
from softshare.files import write_json
from softshare.runfiles import DIVERGED


class DivergedError(UserError):
    """The loss is NaN or infinite."""

    def __init__(self, problem: str, *, file: Path | None = None) -> None:
        self.problem = problem
        super().__init__(problem, file=file, remedy="lower the learning rate, or train in fp32")


def tell_of_divergence(
    out: Path, run: dict[str, Any], epoch: int, error: DivergedError, provenance: dict[str, Any]
) -> None:
    """Writes `diverged.json` into a run's folder, for the evidence; a run that ends after all takes it away.

    Args:
        out: The run's folder.
        run: What names the run.
        epoch: The epoch, counted from 1.
        error: What was raised.
        provenance: Of the code that trains it.
    """
    write_json(out / DIVERGED, run | {"epoch": epoch, "reason": error.problem} | provenance)
