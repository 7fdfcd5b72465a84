"""A stop on request: SIGTERM and SIGINT end a command at once and cleanly; what a training lost is an epoch at most."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from softshare.errors import Stopped

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def stops_cleanly() -> Iterator[None]:
    """Turns the signals into `Stopped`: files being written are dropped, the last checkpoint stays.

    A second signal while the first is being obeyed is not heeded. Outside the main thread nothing is changed.

    Raises:
        Stopped: A signal came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    before = {each: signal.signal(each, stop) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
