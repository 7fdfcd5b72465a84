"""What else a table of the paper prints (top-5 error, GPU days), shown beside ours and not judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from softshare.evidence.runs.runfolder import Record

_SECONDS_A_DAY = 86400.0


@dataclass(frozen=True)
class Beside:
    """A quantity that the paper prints in a column of its own.

    Attributes:
        papers: Heading of the paper's column.
        ours: Heading of our column.
        shown: How our number is written.
        value: Our number: the mean over complete runs.
        caution: What a reader should know of the runs that it comes from; empty where there is nothing.
    """

    papers: str
    ours: str
    shown: str
    value: Callable[[Sequence[Record]], float]
    caution: Callable[[Sequence[Record]], str] = lambda records: ""


def _top5(records: Sequence[Record]) -> float:
    return float(np.mean([record.metrics["test"]["top5_error"] for record in records]))


def _days(records: Sequence[Record]) -> float:
    return float(np.mean([record.manifest["device_seconds"] for record in records])) / _SECONDS_A_DAY


def _devices(records: Sequence[Record]) -> str:
    devices = sorted({record.device or "a device not recorded" for record in records})
    return f"days measured on {', '.join(devices)}"


# By their keys in reports/paper/*.yaml.
BESIDE = {
    "top5_error": Beside("Top-5, paper", "Top-5 (%)", ".2f", _top5),
    "gpu_days": Beside("GPU days, paper", "Days, run", ".2g", _days, _devices),
}
