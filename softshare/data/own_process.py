"""Work in a process of its own, under a time limit: what hangs or crashes there ends here in one clear line."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from tqdm import tqdm

from softshare.errors import UserError

Report = Callable[[int], None]

# Seconds in which whoever reads or writes images must get on, where nobody says otherwise. A busy disk gets on.
LIMIT = 600.0

# Seconds in which a process that was told to end at the same time ends those that work for it.
_STAYS = 10

_GUARD = 'a program that calls this does so under `if __name__ == "__main__":`, for its processes import it anew'


def in_own_process(
    work: Callable[..., Any], *arguments: Any, total: int, label: str, limit: float, progress: bool = True
) -> Any:
    """Calls `work(report, *arguments)` in a process that is started for it, with a progress bar on a terminal.

    Args:
        work: A function of a module; it calls `report(count)` as it gets on.
        arguments: What it is given besides; they are pickled.
        total: What the counts it reports add up to.
        label: Stands before the progress bar, and in errors.
        limit: Seconds that it may take to get on: to take the work, and from there or one report to the next, or to its
            end.
        progress: Whether to show the bar.

    Returns:
        What the work returned.

    Raises:
        UserError: The work raised one, it did not get on in time, or its process died.
    """
    # Not forked: torch's threads do not survive that.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    try:
        process.start()
        theirs.close()
        # Not with the start, which waits for ever where a process dies before it has read a long message.
        _send(ours, (work, arguments), label, limit)
        with tqdm(total=total, unit="img", desc=label, leave=False, disable=not progress or None) as bar:
            while True:
                if not ours.poll(limit):
                    raise _no_progress(label, limit)
                kind, value = ours.recv()
                if kind != "progress":
                    break
                bar.update(value)
        process.join(10)
        if kind == "refused":
            raise UserError(value)
        if kind == "failed":
            raise RuntimeError(f"{label} failed in its own process:\n{value}")
        return value
    except (EOFError, ConnectionError) as error:
        process.join(10)
        remedy = _GUARD if process.exitcode == 1 else None
        raise UserError(f"its process died with exit code {process.exitcode}", key=label, remedy=remedy) from error
    finally:
        if process.pid is not None:
            process.kill()
            process.join()
        ours.close()


def _send(connection: Connection, message: object, label: str, limit: float) -> None:
    """Sends what may be longer than a pipe holds, and then waits for whoever is to read it."""
    sender = ThreadPoolExecutor(1)
    sending = sender.submit(connection.send, message)
    sender.shutdown(wait=False)  # its thread ends once the process that it waits for is killed
    try:
        sending.result(limit)
    except TimeoutError:
        raise _no_progress(label, limit) from None


def _no_progress(label: str, limit: float) -> UserError:
    return UserError(f"no progress within {limit:g} s", key=label, remedy="is the disk slow or full? see --time-limit")


def leave_signals(_: int = 0) -> None:
    """Lets a process that works for another leave Ctrl-C and SIGTERM to that one, which ends it.

    Terminals and schedulers send them to all processes at once. SIGTERM may also be that process's own last word, which
    then waits for this one to end: it ends so many seconds later. To be called in the process (a DataLoader does).
    """
    sys.excepthook = _unless_unheard
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_STAYS))


def _unless_unheard(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    """Tells of an error, but not that whoever was to be handed something is gone: that one says why."""
    if not issubclass(kind, ConnectionError):
        sys.__excepthook__(kind, error, place)


def _work(connection: Connection) -> None:
    try:
        work, arguments = connection.recv()
        result = work(lambda count: connection.send(("progress", count)), *arguments)
        connection.send(("done", result))
    except UserError as error:
        connection.send(("refused", str(error)))
    except BaseException:
        connection.send(("failed", traceback.format_exc()))
