"""What a forecast's hours stand on, settled before anything is counted or measured: bad input waits for nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from softshare.errors import UserError, require_positive
from softshare.forecast.devices import find_device
from softshare.gpus import power_limit
from softshare.training.device import PRECISIONS, describe_device, resolve_device, resolve_precision

_LOCAL = ("auto", "cpu", "mps", "cuda")


@dataclass(frozen=True)
class Speed:
    """What a forecast's hours stand on.

    Attributes:
        device: Its name in words.
        basis: `measured` here, `sustained` in a training as told by a table, or the `peak` of a data sheet.
        precision: Of the convolutions.
        source: Of a table's figures; how long was measured.
        on_gpu: Whether a run holds a GPU, not cores.
        watts: The most that the device draws; None where nobody tells.
        tflops: TFLOP/s to reckon with; None where they are measured.
        here: The device to be measured, of this machine; None where none is.
        seconds: How long to measure.
    """

    device: str
    basis: str
    precision: str
    source: str
    on_gpu: bool
    watts: float | None = None
    tflops: float | None = None
    here: torch.device | None = None
    seconds: float = 0.0


def settle(device: str, precision: str, sustained: float | None, seconds: float) -> Speed:
    """Settles where a forecast's hours come from.

    Args:
        device: To be measured, if it is one of this machine; else one of `config/devices.yaml`.
        precision: auto, fp32 or bf16.
        sustained: TFLOP/s to reckon with in place of a measurement or a table.
        seconds: How long to measure.

    Raises:
        UserError: An unknown device or precision, a speed that is none or a device beside it, or no time to measure.
    """
    require_positive(seconds, "seconds")
    if sustained is not None:
        require_positive(sustained, "sustained")
        known = ("auto", *PRECISIONS)
        if precision not in known:
            raise UserError("unknown precision", key="precision", value=precision, remedy=", ".join(known))
        if device != "auto":
            remedy = "leave it out, or --sustained: each of them settles the speed"
            raise UserError("no device beside --sustained", key="device", value=device, remedy=remedy)
        name = f"a device that sustains {sustained:g} TFLOP/s"
        return Speed(name, "sustained", precision, "as given", True, tflops=sustained)
    if device.partition(":")[0] not in _LOCAL:
        found = find_device(device)
        resolved, tflops = found.fastest(precision)
        source = " ".join(found.source.split())
        return Speed(found.title, found.basis, resolved, source, True, found.watts, tflops)
    here = resolve_device(device)
    resolved = resolve_precision(precision, here)
    source = f"measured here for {seconds:g} s, one run alone"
    on_gpu = here.type == "cuda"
    watts = power_limit(here.index or 0, os.environ) if on_gpu else None
    return Speed(describe_device(here), "measured", resolved, source, on_gpu, watts, here=here, seconds=seconds)
