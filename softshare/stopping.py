"""A stop on request: SIGTERM and SIGINT end a command at once and cleanly; what a training lost is an epoch at most."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from softshare.errors import Stopped

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Not empty while the main thread is in a block that heeds them.
_inside: list[bool] = []


@contextlib.contextmanager
def stops_cleanly(*, at_last: bool = False) -> Iterator[None]:
    """Turns the signals into `Stopped`: files being written are dropped, the last checkpoint stays.

    A second signal while the first is being obeyed is not heeded. Outside the main thread nothing is changed, nor
    within another such block.

    Args:
        at_last: That the process ends after it: once a signal was obeyed, they stay unheeded till Python has ended.

    Raises:
        Stopped: A signal came.
    """
    if threading.current_thread() is not threading.main_thread() or _inside:
        yield
        return

    def stop(number: int, _: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    before = {each: signal.signal(each, stop) for each in _SIGNALS}
    _inside.append(True)
    stopped = False
    try:
        yield
    except Stopped:
        stopped = True
        raise
    finally:
        _inside.clear()
        if not (stopped and at_last):
            for each, handler in before.items():
                signal.signal(each, handler)
