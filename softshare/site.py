"""Whether a machine or cluster can take the jobs that are about to start; told before the first, in one line."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from softshare.errors import UserError

SLURM_PROFILE = "profiles/slurm/config.yaml"
KUBERNETES_PROFILE = "profiles/kubernetes/config.yaml"

GPU_ALONE = ("tf32", "fp16")  # precisions

_PART = "[0-9]{1,9}"  # not \d, which takes the digits of every script
_MINUTES = re.compile(rf"(?:(?P<days>{_PART})-)?(?:(?P<hours>{_PART}):)?(?P<minutes>{_PART}):(?P<seconds>{_PART})$")


@dataclass(frozen=True, order=True)
class Demand:
    """What jobs of a rule ask of a cluster.

    Attributes:
        rule: Their rule.
        partition: Of Slurm; None = the cluster's default one.
        gpus: GPUs a job, on one node.
        minutes: How long a job may run, at its first attempt and at each retry.
        needed: Minutes that it is taken to need over all attempts, of which each goes on where the last one ended; 0 =
            each begins anew.
        gpu_model: The type of GPU that they ask for; None = any.
    """

    rule: str
    partition: str | None
    gpus: int
    minutes: tuple[int, ...]
    needed: float = 0.0
    gpu_model: str | None = None


@dataclass(frozen=True)
class Partition:
    """A partition of a Slurm cluster, as `sinfo` tells it.

    Attributes:
        default: Whether it takes the jobs that name none.
        gpus: The most that any of its nodes has.
        minutes: How long a job may run; None = no limit.
        kinds: The types of its GPUs, where the cluster tells them.
    """

    name: str
    default: bool
    gpus: int
    minutes: float | None
    kinds: tuple[str, ...] = ()


def require_here(device: str, data: Mapping[str, str | None]) -> None:
    """Refuses jobs that are to run on this machine and cannot.

    Args:
        device: As in `config/config.yaml`.
        data: Where the datasets lie that the jobs read, likewise.

    Raises:
        UserError: A GPU is asked for and none is here, or a dataset does not lie where it is said to.
    """
    if device.startswith("cuda") and not has_gpu():
        remedy = "set device to auto or cpu, or start on a machine with a GPU"
        raise UserError(
            "there is no NVIDIA GPU here", file="config/config.yaml", key="device", value=device, remedy=remedy
        )
    for dataset, path in data.items():
        if path and not Path(path).exists():
            raise UserError(
                "does not lie on this machine",
                file="config/config.yaml",
                key=f"data.{dataset}",
                value=path,
                remedy=f"set it there, or by --config data='{{\"{dataset}\": PATH}}', to a path that this machine sees",
            )


def require_on_device(precision: str, device: str, on_gpu: bool) -> None:
    """Refuses a precision that only GPUs have where jobs are to compute on none.

    Args:
        precision: As in `config/config.yaml`.
        device: Likewise.
        on_gpu: Whether that is a GPU here.

    Raises:
        UserError: So it is.
    """
    if precision in GPU_ALONE and not on_gpu:
        remedy = f"set it to auto, fp32 or bf16, or device, which is {device!r}, to cuda"
        raise UserError("is for GPUs alone", file="config/config.yaml", key="precision", value=precision, remedy=remedy)


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU and its driver."""
    return shutil.which("nvidia-smi") is not None or any(Path("/dev").glob("nvidia[0-9]*"))


def require_slurm(demands: Iterable[Demand]) -> None:
    """Refuses jobs that this Slurm cluster cannot take.

    Raises:
        UserError: Slurm is not here or does not answer, or a partition is missing, unknown, without as many GPUs on a
            node, or too short for a job or one of its retries; or all attempts together are.
    """
    partitions = {partition.name: partition for partition in slurm_partitions()}
    for demand in sorted(set(demands), key=lambda demand: (demand.rule, demand.minutes)):
        names = _names(demand, partitions)
        key = f"{demand.rule}.slurm_partition"
        if names == [""]:
            remedy = f"name one under default-resources; this cluster has {_listed(partitions)}"
            raise UserError("not set, and the cluster has no default one", file=SLURM_PROFILE, key=key, remedy=remedy)
        for name in names:
            if name not in partitions:
                remedy = f"it has {_listed(partitions)}"
                problem = "no such partition on this cluster"
                raise UserError(problem, file=SLURM_PROFILE, key=key, value=name, remedy=remedy)
        # What fits into none is told of the first.
        misfits = [_misfit(demand, partitions[name], partitions) for name in names]
        if all(misfits) and misfits[0]:
            raise misfits[0]
        _require_enough(demand)


def unlike_gpus(demands: Iterable[Demand]) -> str:
    """A line that tells of jobs which Slurm may put on GPUs of several types; empty where there are none.

    Each would take the precision that is the fastest on its own, and runs of two precisions get no verdict.

    Raises:
        UserError: Slurm is not here or does not answer.
    """
    partitions = {partition.name: partition for partition in slurm_partitions()}
    for demand in sorted(set(demands), key=lambda demand: (demand.rule, demand.minutes)):
        found = [partitions[name] for name in _names(demand, partitions) if name in partitions]
        kinds = {kind for partition in found for kind in partition.kinds}
        if demand.gpus and not demand.gpu_model and len(kinds) > 1:
            return (
                f"{SLURM_PROFILE}: {demand.rule}.slurm_partition: {','.join(partition.name for partition in found)!r}:"
                f" has GPUs of several types ({_listed(kinds)}), and with precision: auto each job takes what is"
                " fastest on its own, which may not be the same; runs of two precisions get no verdict: name it in"
                f" profiles/slurm/site.yaml, or a gpu_model of {demand.rule}"
            )
    return ""


def _names(demand: Demand, partitions: Mapping[str, Partition]) -> list[str]:
    """The partitions of a job; of several Slurm takes the first that can start it."""
    default = next((partition.name for partition in partitions.values() if partition.default), None)
    return (demand.partition or default or "").split(",")


def _misfit(demand: Demand, partition: Partition, partitions: dict[str, Partition]) -> UserError | None:
    """Why a job cannot run in a partition; None where it can."""
    if demand.gpus > partition.gpus:
        enough = _listed(name for name, each in partitions.items() if each.gpus >= demand.gpus)
        has = f"has {partition.gpus} on a node" if partition.gpus else "has none"
        asked = "a GPU" if demand.gpus == 1 else f"{demand.gpus} GPUs on one node"
        return UserError(
            f"asks for {asked}, and partition {partition.name!r} {has}",
            file=SLURM_PROFILE,
            key=f"{demand.rule}.gpu",
            value=demand.gpus,
            remedy=f"set slurm_partition of {demand.rule} to one with as many ({enough}), or gpus or device in config",
        )
    if partition.minutes is not None and max(demand.minutes) > partition.minutes:
        at_first = demand.minutes[0] > partition.minutes
        return UserError(
            f"are more minutes than partition {partition.name!r} allows ({partition.minutes:g})"
            + ("" if at_first else ", and a retry would ask for them"),
            file=SLURM_PROFILE,
            key=f"{demand.rule}.runtime",
            value=demand.minutes[0] if at_first else max(demand.minutes),
            remedy=f"set longest_job: {int(partition.minutes)} in profiles/slurm/site.yaml: a killed run goes on from "
            "its last epoch",
        )
    return None


def _require_enough(demand: Demand) -> None:
    if demand.needed > sum(demand.minutes):
        retries = len(demand.minutes) - 1 + math.ceil((demand.needed - sum(demand.minutes)) / max(1, *demand.minutes))
        jobs, most = len(demand.minutes), max(demand.minutes)
        given = f"{jobs} jobs of at most {most} minutes give" if jobs > 1 else f"a job of {most} minutes gives"
        raise UserError(
            f"expected for one training, but {given} less",
            file=SLURM_PROFILE,
            key=f"{demand.rule}.runtime",
            value=f"{demand.needed:.0f} minutes",
            remedy=f"use --retries {retries} or more",
        )


def slurm_partitions() -> list[Partition]:
    """The partitions of the Slurm cluster that this machine submits to.

    Raises:
        UserError: Slurm's commands are missing, or its controller does not answer.
    """
    missing = [command for command in ("sbatch", "squeue", "sinfo") if shutil.which(command) is None]
    if missing:
        remedy = "start on a login node of the cluster, or leave the profile out"
        raise UserError(f"no {missing[0]} on the PATH: there is no Slurm here", file=SLURM_PROFILE, remedy=remedy)
    command = ["sinfo", "--noheader", "--format=%P|%G|%l"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = (error.stderr or str(error)) if isinstance(error.stderr, str) else str(error)
        remedy = "try sinfo by hand: start where it answers, on a login node of the cluster, or leave the profile out"
        raise UserError(f"Slurm does not answer ({said.strip()})", file=SLURM_PROFILE, remedy=remedy) from error
    found: dict[str, Partition] = {}
    for line in answer.splitlines():
        name, generic, limit = line.split("|")
        plain, gpus = name.rstrip("*"), _gpus_of(generic)
        earlier = found.get(plain)  # a line for each kind of node
        most = max(gpus, earlier.gpus if earlier else 0)
        kinds = {*_kinds_of(generic), *(earlier.kinds if earlier else ())}
        found[plain] = Partition(plain, name.endswith("*"), most, minutes_of(limit), tuple(sorted(kinds)))
    return list(found.values())


def _gpus_of(generic: str) -> int:
    """GPUs of a node, as `sinfo` tells its generic resources: `gpu`, `gpu:4`, `gpu:a100:4(S:0-1),gpu:v100:2`."""
    kinds = re.findall(r"\bgpu(?::[^:,()]+)??(?::([0-9]+))?(?:\([^)]*\))?(?=,|$)", generic)
    return sum(int(count or 1) for count in kinds)


def _kinds_of(generic: str) -> list[str]:
    """Types of the GPUs among a node's generic resources, where it tells them."""
    named = [part.partition("(")[0].split(":") for part in generic.split(",")]
    return [part[1] for part in named if part[0] == "gpu" and len(part) > 1 and not part[1].isdigit()]


def require_storage(provider: str | None, prefix: str | None) -> None:
    """Refuses jobs on Kubernetes, whose nodes share no files, without a place for what they leave.

    Args:
        provider: Of Snakemake's storage, such as `s3`.
        prefix: Where results lie in it.

    Raises:
        UserError: One of them is not set.
    """
    wanted = {
        "default-storage-provider": (provider, "such as s3 (pip install snakemake-storage-plugin-s3)"),
        "default-storage-prefix": (prefix, "such as s3://my-bucket/softshare"),
    }
    for key, (value, example) in wanted.items():
        if not value:
            remedy = f"name the object store that results lie in, {example}"
            raise UserError("not set, and the nodes share no files", file=KUBERNETES_PROFILE, key=key, remedy=remedy)


def require_image(image: str) -> None:
    """Refuses jobs on Kubernetes in Snakemake's own image, which holds nothing that they call.

    Raises:
        UserError: No other image is named.
    """
    if image.split(":")[0] == "snakemake/snakemake":
        remedy = "name the image that containers/Dockerfile builds, where the nodes can pull it"
        raise UserError(
            "is Snakemake's own, without softshare",
            file=KUBERNETES_PROFILE,
            key="container-image",
            value=image,
            remedy=remedy,
        )


def minutes_of(time: str) -> float | None:
    """Minutes of a time as Slurm prints it (`2-12:30:00`, `30:00`); None where it is no such time, as `infinite`."""
    match = _MINUTES.match(time.strip())
    if not match:
        return None
    days, hours, minutes, seconds = (int(match[part] or 0) for part in ("days", "hours", "minutes", "seconds"))
    return (days * 24 + hours) * 60 + minutes + seconds / 60


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
