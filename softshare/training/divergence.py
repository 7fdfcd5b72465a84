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
        super().__init__(problem, file=file, remedy="lower the learning rate; if this was bf16 or fp16, fp32")


def tell_of_divergence(
    out: Path,
    settings: dict[str, Any],
    identity: dict[str, Any],
    epoch: int,
    error: DivergedError,
    told: dict[str, Any],
) -> None:
    """Writes `diverged.json` into a run's folder, for the evidence; a run that is taken up again takes it away.

    Args:
        out: The run's folder.
        settings: Those of the run, with what names it, as its manifest would tell them.
        identity: All on which its result depends.
        epoch: The epoch, counted from 1.
        error: What was raised.
        told: Where the code that trains it comes from.
    """
    diverged = {"epoch": epoch, "reason": error.problem, "settings": settings, "identity": identity}
    write_json(out / DIVERGED, diverged | told)
