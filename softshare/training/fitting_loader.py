"""What `auto` chose before the data were seen, held against them: FFCV loads where its file is theirs, and for all."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from softshare.data.beton import read_facts
from softshare.data.ffcv_file import require_ffcv
from softshare.data.ffcv_photographs import decoding_of
from softshare.data.photographs import PhotographSet
from softshare.errors import UserError
from softshare.files import read_json
from softshare.names import PHOTOGRAPHS
from softshare.runfiles import CHECKPOINT, MANIFEST
from softshare.training.checkpoint import identity_of
from softshare.training.job import Job
from softshare.training.loading import Images


def with_fitting_loader(job: Job[Any], images: Images, out: Path) -> tuple[Job[Any], str]:
    """A job whose loader nobody named, with one that its images can be loaded by.

    FFCV gives way where it cannot be imported, where its file holds another set (of a trial on some photographs: the
    whole one) or tells too little, and where the run was begun on the photographs themselves. A run that was begun with
    FFCV's pixels can go on with no others.

    Args:
        job: Its loader is what `auto` chose.
        images: What it trains on.
        out: The run's folder.

    Returns:
        The job, and a line that says why FFCV does not load; empty where it does, or was not chosen.

    Raises:
        UserError: What lies in `out` cannot be read, or was begun with FFCV's pixels, which cannot be had.
    """
    if job.loader != "ffcv":
        return job, ""
    photographs = isinstance(images, PhotographSet)
    begun = _decoding_begun_with(out) if photographs else None
    try:
        require_ffcv()
        facts = read_facts(job.beton)
        decoding = decoding_of(job.beton) if photographs else ""
        if (facts["dataset"], facts["fingerprint"]) != (job.dataset, images.fingerprint):
            raise UserError("holds other images than this run's", file=job.beton)
    except UserError as error:
        if begun:
            raise
        return _without_ffcv(job, photographs, str(error))
    if begun == "":
        return _without_ffcv(job, photographs, f"{out} was begun without it, on the photographs themselves")
    return dataclasses.replace(job, decoding=decoding), ""


def require_same_pixels(job: Job[Any]) -> None:
    """Refuses processes of one run that would load its photographs differently, as where one node lacks FFCV.

    Raises:
        UserError: They would.
    """
    if job.dataset not in PHOTOGRAPHS:
        return
    found = sorted(set(job.processes.gather(f"{job.loader} ({job.decoding or 'the files themselves'})")))
    if len(found) > 1:
        remedy = "install FFCV and bring its file to all nodes, or name one loader for all"
        raise UserError("the run's processes would load other pixels", key="loader", value=found, remedy=remedy)


def _without_ffcv(job: Job[Any], photographs: bool, why: str) -> tuple[Job[Any], str]:
    other = "torchvision" if photographs else "tensor"
    return dataclasses.replace(job, loader=other, decoding=""), f"loader: {other}, not ffcv: {why}"


def _decoding_begun_with(out: Path) -> str | None:
    """How the photographs of the run in a folder were decoded; None where there is no run."""
    identity = identity_of(out / CHECKPOINT)
    if identity is None and (out / MANIFEST).is_file():
        manifest = read_json(out / MANIFEST)
        identity = manifest.get("identity") if isinstance(manifest, dict) else None
    return str(identity.get("decoding", "")) if isinstance(identity, dict) else None
