"""TensorBoard event files of a run, on request: the numbers of its history, a scalar each.

They are written anew from the history whenever a run starts or resumes, so that a killed one leaves no epoch twice and
none out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from softshare.errors import UserError

FOLDER = "tensorboard"
_NO_CURVES = ("epoch", "phase")


class Curves:
    """Event files in `tensorboard/` below a run's folder.

    Args:
        out: The run's folder.

    Raises:
        UserError: TensorBoard is not installed.
    """

    def __init__(self, out: Path) -> None:
        require_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        folder = out / FOLDER
        for earlier in folder.glob("events.out.tfevents.*"):
            earlier.unlink()
        self.writer = SummaryWriter(str(folder))
        self.written = 0

    def extend(self, history: Iterable[Mapping[str, Any]]) -> None:
        """Writes those rows of a history that are not written yet."""
        for row in list(history)[self.written :]:
            for key, value in row.items():
                if key not in _NO_CURVES and value is not None:
                    self.writer.add_scalar(key.replace("_", "/", 1), value, row["epoch"])
            self.written += 1
        self.writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self.writer.close()


def require_tensorboard() -> None:
    """Refuses to go on without TensorBoard.

    Raises:
        UserError: It is not installed.
    """
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        remedy = "pip install 'softshare[tensorboard]', or leave the option out"
        raise UserError("TensorBoard is not installed", key="tensorboard", remedy=remedy) from None
