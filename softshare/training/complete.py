"""Whether a run's folder is complete, so that nobody trains it again, and nobody takes a part of it for the whole."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from softshare.files import read_json
from softshare.runfiles import CHECKPOINT, HISTORY, MANIFEST, METRICS, SIMILARITY, WEIGHTS
from softshare.training.checkpoint import require_same_run

# What every complete run leaves besides its metrics.
FILES = (MANIFEST, HISTORY, SIMILARITY, WEIGHTS)


def metrics_if_complete(out: Path, files: Sequence[str], identity: dict[str, Any]) -> dict[str, Any] | None:
    """The metrics of a run that is complete; None of one that is not, or of which a file was lost since.

    Args:
        out: The run's folder.
        files: What it must hold besides `metrics.json`.
        identity: What must be the same for it to be this run.

    Raises:
        UserError: What lies there is of another run.
    """
    if not all((out / name).exists() for name in (METRICS, MANIFEST)):
        return None
    found = read_json(out / MANIFEST)
    known = found.get("identity") if isinstance(found, dict) else None
    require_same_run(known if isinstance(known, dict) else {}, identity, out / MANIFEST)
    if not all((out / name).exists() for name in files):
        return None
    with contextlib.suppress(OSError):  # a complete run may lie where nothing can be written
        (out / CHECKPOINT).unlink(missing_ok=True)
    return read_json(out / METRICS)
