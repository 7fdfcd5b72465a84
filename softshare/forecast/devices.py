"""What devices do that are not at hand: `config/devices.yaml`, each figure with its source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from softshare.errors import UserError, did_you_mean
from softshare.files import project_root
from softshare.schemas import read_yaml


@dataclass(frozen=True)
class Device:
    """A device as a table tells it.

    Attributes:
        name: As given by `--device`.
        title: Its full name.
        tflops: Dense TFLOP/s by precision, `fp32` or `bf16`.
        basis: Whether they were sustained in a training, or are the peak of a data sheet, which no training reaches.
        source: Where they stand.
        watts: The most that it draws; None where no source tells.
        watts_source: Where that stands.
    """

    name: str
    title: str
    tflops: dict[str, float]
    basis: Literal["sustained", "peak"]
    source: str
    watts: float | None = None
    watts_source: str | None = None

    def fastest(self, precision: str) -> tuple[str, float]:
        """Precision and TFLOP/s; `auto` takes bf16 where the table tells it.

        Raises:
            UserError: The table tells nothing of the precision.
        """
        chosen = next(each for each in ("bf16", "fp32") if each in self.tflops) if precision == "auto" else precision
        if chosen not in self.tflops:
            remedy = f"known of {self.name}: {', '.join(self.tflops)}"
            raise UserError(f"is not told of {self.name}", key="precision", value=precision, remedy=remedy)
        return chosen, self.tflops[chosen]


def read_devices(root: Path | None = None) -> dict[str, Device]:
    """The table, by name.

    Raises:
        UserError: It breaks its schema.
    """
    raw = read_yaml((root or project_root()) / "config" / "devices.yaml", schema="devices")
    return {name: Device(name, **entry) for name, entry in raw["devices"].items()}


def find_device(name: str) -> Device:
    """A device of the table.

    Raises:
        UserError: There is none of that name.
    """
    devices = read_devices()
    if name not in devices:
        remedy = f"{did_you_mean(name, devices)}; measured here: auto, cpu, mps, cuda or cuda:N"
        raise UserError("unknown device", key="device", value=name, remedy=remedy)
    return devices[name]
