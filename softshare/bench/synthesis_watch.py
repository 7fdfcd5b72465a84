"""A look at the synthesis in a step: on a CPU no operation of torch's, so that its profiler would see none of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from softshare.sharing.bank import TemplateBank
from softshare.sharing.synthesis import AttachSynthesis


@contextlib.contextmanager
def watched_synthesis(around: Callable[[], contextlib.AbstractContextManager[Any]]) -> Iterator[None]:
    """While it lasts, each synthesis of weights and each of their gradients happens within `around()`."""
    synthesise, gradients = TemplateBank._synthesise, AttachSynthesis._gradients

    def forward(*asked: Any) -> Any:
        with around():
            return synthesise(*asked)

    def backward(*asked: Any) -> Any:
        with around():
            return gradients(*asked)

    with (
        mock.patch.object(TemplateBank, "_synthesise", forward),
        mock.patch.object(AttachSynthesis, "_gradients", staticmethod(backward)),
    ):
        yield
