"""The checkpoint: all that an epoch starts from besides (seed, epoch). Written whole, verified when read."""

from __future__ import annotations

import hashlib
import io
import reprlib
import zipfile
from pathlib import Path
from typing import Any

import torch

from softshare.errors import UserError, shorten
from softshare.files import LARGEST_WEIGHTS, plain_file, written_whole

_MAGIC = b"softshare checkpoint 1\n"
# Of what a forged checkpoint tells, a line's worth: a list may hold itself.
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxlist, _REPR.maxtuple, _REPR.maxdict = 3, 120, 20, 20, 20
# How to go on with what was left: of what is no setting of the run but of where it computes.
_HOW_TO_GO_ON = {
    "threads": "say --threads {}",
    "precision": "say --precision {}",
    "device": "say --device {}, where there is one",
    "torch": "go on with torch {}",
    "processes": "start as many processes as it had",
    "batch norm": "say --batch-norm {}",
    "compiled synthesis": "go on where a C compiler is, or is not, installed as it was there",
}
_ON_CPUS_ALONE = "compiled synthesis"  # runs on a GPU told it too, once
REMEDY = "delete it to train this run from the start"


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Writes tensors and plain values, under a digest, to a temporary name and renames it.

    Raises:
        UserError: The folder cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    payload = buffer.getbuffer()
    with written_whole(path) as temporary, temporary.open("wb") as file:
        file.write(_header(payload))
        file.write(payload)


def load_checkpoint(path: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """Reads a checkpoint of the run that `identity` tells.

    Args:
        path: The file; it need not exist.
        identity: What must be the same for a resumed run to be the same run, as plain values.

    Returns:
        The content, its tensors on the CPU; None where there is no checkpoint.

    Raises:
        UserError: It is truncated, altered, forged, or of another run; the first setting that differs is named.
    """
    content = _read(path)
    if content is not None:
        require_same_run(content["identity"], identity, path)
    return content


def identity_of(path: Path) -> dict[str, Any] | None:
    """The identity of the run that left a checkpoint; None where there is none.

    Raises:
        UserError: It is truncated, altered or forged.
    """
    content = _read(path)
    return None if content is None else content["identity"]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        raw = plain_file(path, LARGEST_WEIGHTS).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", file=path) from error
    payload = raw[len(_header(b"")) :]
    if not raw.startswith(_MAGIC):
        raise UserError("is no checkpoint of softshare", file=path, remedy=REMEDY)
    if not raw.startswith(_header(payload)):
        raise UserError("the checkpoint is truncated or altered", file=path, remedy=REMEDY)
    try:
        _require_unpacked(payload)
        content = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # a forged one fails in any way there is
        raise UserError("the checkpoint cannot be read", file=path, remedy=REMEDY) from error
    if not isinstance(content, dict) or not isinstance(content.get("identity"), dict):
        raise UserError("the checkpoint tells no run", file=path, remedy=REMEDY)
    return content


def _require_unpacked(payload: bytes) -> None:
    """Refuses a zip that would unpack to more than it holds: torch packs nothing."""
    with zipfile.ZipFile(io.BytesIO(payload)) as packed:
        if sum(each.file_size for each in packed.infolist()) > len(payload):
            raise ValueError("packed")


def _header(payload: bytes | memoryview) -> bytes:
    return _MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"


def require_same_run(found: dict[str, Any], wanted: dict[str, Any], file: Path) -> None:
    """Refuses to go on with what another run left.

    Raises:
        UserError: A setting differs; it names the file, the setting and both values.
    """
    ignored = set() if found.get("device") == "cpu" else {_ON_CPUS_ALONE}
    for key in sorted({*found, *wanted} - ignored):
        if found.get(key) != wanted.get(key):
            raise UserError(
                f"was left by a run with {_shown(found.get(key))}, this one has {_shown(wanted.get(key))}",
                file=file,
                key=key,
                remedy=_way_on(key, found.get(key)) + "use another --out, or delete the folder",
            )


def _way_on(key: str, left_with: object) -> str:
    told = _HOW_TO_GO_ON.get(key, "") if isinstance(left_with, str | int) else ""
    return f"{told.format(shorten(str(left_with), 60))}; or " if told else ""


def _shown(value: object) -> str:
    return shorten(_REPR.repr(value), 240)
