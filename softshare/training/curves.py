"""TensorBoard event files of a run, on request: the numbers of its history, a curve each.

They are written anew from the history whenever a run starts or resumes, so that a killed one shows no epoch twice and
leaves none out.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from softshare.errors import UserError

FOLDER = "tensorboard"
_NO_CURVES = ("epoch", "phase")


class Curves:
    """Event files in a folder; those that lie there are replaced.

    Args:
        folder: To write to.

    Raises:
        UserError: TensorBoard is not installed, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        require_tensorboard()
        # Not torch's SummaryWriter: it writes from a thread, whose errors come late or never.
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._folder = folder
        with self._told():
            folder.mkdir(parents=True, exist_ok=True)
            for earlier in folder.glob("events.out.tfevents.*"):
                earlier.unlink()
            name = f"events.out.tfevents.{int(time.time())}.{platform.node()}.{os.getpid()}.0"
            self._writer = RecordWriter((folder / name).open("wb"))
            self._write(file_version="brain.Event:2")
        self._written = 0

    def extend(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Writes those rows of a history, one an epoch, that are not written yet.

        Raises:
            UserError: The folder cannot be written.
        """
        from torch.utils.tensorboard.summary import scalar

        with self._told():
            for row in history[self._written :]:
                for key in row.keys() - set(_NO_CURVES):
                    self._write(step=row["epoch"], summary=scalar(key, row[key]))
            self._written = len(history)
            self._writer.flush()

    def _write(self, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.write(Event(wall_time=time.time(), **content).SerializeToString())

    def close(self) -> None:
        """Ends the file; what was lost of it on a full disk is written anew when the run starts again."""
        with contextlib.suppress(OSError):
            self._writer.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"cannot be written ({error.strerror or error})",
                file=self._folder,
                remedy="check the folder and the disk",
            ) from error


@contextlib.contextmanager
def curves_in(out: Path) -> Iterator[Curves]:
    """Event files below a run's folder.

    Raises:
        UserError: TensorBoard is not installed.
    """
    curves = Curves(out / FOLDER)
    try:
        yield curves
    finally:
        curves.close()


def require_tensorboard() -> None:
    """Refuses to go on without TensorBoard.

    Raises:
        UserError: It is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        remedy = "pip install 'softshare[tensorboard]', or leave the option out"
        raise UserError("TensorBoard is not installed", key="tensorboard", remedy=remedy)
