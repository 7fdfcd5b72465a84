"""What a machine or cluster must have before jobs start: one line for each thing that it lacks."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softshare import site
from softshare.errors import UserError
from softshare.site import (
    Demand,
    Partition,
    minutes_of,
    require_here,
    require_image,
    require_slurm,
    require_storage,
    slurm_partitions,
    unlike_gpus,
)


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    """Has `sinfo` print what a test says; sbatch and squeue are there."""

    def with_(answer):
        for name in ("sbatch", "squeue", "sinfo"):
            command = tmp_path / name
            command.write_text(f"#!/bin/sh\n{answer}\n")
            command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return with_


LINES = (
    "printf '%s\\n' 'cpu*|(null)|1-00:00:00' 'gpu|gpu:a100:4(S:0-1)|2:00:00' 'gpu|(null)|2:00:00' 'big|(null)|infinite'"
)


def test_partitions_are_what_sinfo_tells(cluster):
    cluster(LINES)
    assert slurm_partitions() == [
        Partition("cpu", default=True, gpus=0, minutes=1440),
        Partition("gpu", default=False, gpus=4, minutes=120, kinds=("a100",)),
        Partition("big", default=False, gpus=0, minutes=None),
    ]


@pytest.mark.parametrize(
    ("generic", "count"),
    [("(null)", 0), ("gpu", 1), ("gpu:4", 4), ("gpu:a100:4(S:0-1)", 4), ("gpu:a100:4(S:0,1),gpu:v100:2,shard:8", 6)],
)
def test_gpus_of_a_node(generic, count, cluster):
    cluster(f"echo 'gpu|{generic}|infinite'")
    assert [partition.gpus for partition in slurm_partitions()] == [count]


@pytest.mark.parametrize(
    ("partitions", "demand", "told"),
    [
        (
            {"gpu": "gpu:a100:4,gpu:v100:2"},
            {},
            "'gpu': has GPUs of several types (a100, v100), and with precision: auto",
        ),
        ({"old": "gpu:v100:2", "new": "gpu:h100:8(S:0,1)"}, {"partition": "old,new"}, "'old,new': has .* (h100, v100)"),
        ({"old": "gpu:v100:2", "new": "gpu:h100:8(S:0,1)"}, {"partition": "new"}, ""),
        ({"gpu": "gpu:a100:4,gpu:v100:2"}, {"gpu_model": "v100"}, ""),
        ({"gpu": "gpu:a100:4,gpu:v100:2"}, {"gpus": 0}, ""),
        ({"gpu": "gpu:4,shard:8"}, {}, ""),
        ({"gpu": "gpu:a100:4(S:0,1),mps:v100:8"}, {}, ""),
    ],
)
def test_gpus_of_several_types_are_told(partitions, demand, told, cluster):
    lines = [f"{name}|{generic}|infinite" for name, generic in partitions.items()]
    lines += ["gpu|gpu:a100:8|infinite"] if "gpu:a100" in partitions.get("gpu", "") else []  # other nodes, of one type
    cluster("printf '%s\\n' " + " ".join(f"'{line}'" for line in lines))
    asked = {"rule": "train", "partition": "gpu", "gpus": 1, "minutes": (10,)} | demand
    said = unlike_gpus([Demand(**asked), Demand("table", "gpu", 0, (15,))])
    assert re.search(re.escape(told).replace(r"\.\*", ".*"), said) if told else said == ""


def test_what_fits_is_let_through(cluster):
    cluster(LINES)
    require_slurm(
        [
            Demand("table", None, 0, (15, 30)),
            Demand("train", "gpu", 4, (120, 120), 240),
            Demand("train", "cpu,gpu", 1, (120,)),  # Slurm takes the one that fits
            Demand("train", "big", 0, (10**6, 2 * 10**6)),
        ]
    )


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        (
            Demand("train", "gpus", 1, (10,)),
            "train.slurm_partition: 'gpus': no such partition on this cluster; it has big, cpu, gpu",
        ),
        (
            Demand("train", "gpu,gpus", 1, (10,)),
            "train.slurm_partition: 'gpus': no such partition on this cluster; it has big, cpu, gpu",
        ),
        (
            Demand("train", None, 1, (10,)),
            "train.gpu: 1: asks for a GPU, and partition 'cpu' has none; "
            "set slurm_partition of train to one with as many (gpu), or gpus or device in config",
        ),
        (
            Demand("train", "gpu", 8, (10,)),
            "train.gpu: 8: asks for 8 GPUs on one node, and partition 'gpu' has 4 on a node; "
            "set slurm_partition of train to one with as many (none), or gpus or device in config",
        ),
        (
            Demand("fold", "gpu", 1, (180, 360)),
            "fold.runtime: 180: are more minutes than partition 'gpu' allows (120); set longest_job: 120 in "
            "profiles/slurm/site.yaml: a killed run goes on from its last epoch",
        ),
        (
            Demand("train", "gpu", 1, (60, 120, 180)),
            "train.runtime: 180: are more minutes than partition 'gpu' allows (120), and a retry would ask for them; "
            "set longest_job: 120 in",
        ),
        (
            Demand("train", "gpu", 1, (120, 120), 500.0),
            "train.runtime: '500 minutes': expected for one training, but 2 jobs of at most 120 minutes give less; "
            "use --retries 4 or more",
        ),
        (
            Demand("train", "gpu", 1, (120,), 121.0),
            "train.runtime: '121 minutes': expected for one training, but a job of 120 minutes gives less; "
            "use --retries 1 or more",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(demand, said, cluster):
    cluster(LINES)
    with pytest.raises(UserError) as error:
        require_slurm([demand])
    assert str(error.value).startswith(f"profiles/slurm/config.yaml: {said}")


def test_no_partition_where_none_is_the_default_one(cluster):
    cluster("echo 'gpu|gpu:1|infinite'")
    with pytest.raises(UserError, match=r"slurm_partition: not set, and the cluster has no default one; .* has gpu$"):
        require_slurm([Demand("train", None, 0, 10)])


def test_a_controller_that_does_not_answer(cluster):
    cluster("echo 'slurm_load_partitions: Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(
        UserError, match=r"Slurm does not answer \(slurm_load_partitions: Unable .*\); try sinfo by hand"
    ):
        require_slurm([])


def test_no_slurm(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"no sbatch on the PATH: there is no Slurm here; start on a login node"):
        require_slurm([])


@given(st.integers(0, 30), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_slurm_s_times_are_minutes(days, hours, minutes, seconds):
    whole = (days * 24 + hours) * 60 + minutes + seconds / 60
    assert minutes_of(f"{days}-{hours:02}:{minutes:02}:{seconds:02}") == whole
    if not days:
        assert minutes_of(f"{hours}:{minutes:02}:{seconds:02}\n") == whole


@pytest.mark.parametrize(
    "time", ["infinite", "UNLIMITED", "NOT_SET", "", "n/a", "\u0663:00", 400 * "9" + ":00", 5000 * "9" + ":00"]
)
def test_what_is_no_time_is_no_limit(time):
    assert minutes_of(time) is None


def test_a_gpu_asked_for_and_none_here(monkeypatch):
    monkeypatch.setattr(site, "has_gpu", lambda: False)
    require_here("auto", {})
    with pytest.raises(UserError, match=r"device: 'cuda:1': there is no NVIDIA GPU here; set device to auto or cpu"):
        require_here("cuda:1", {})


def test_data_that_lie_not_here(tmp_path):
    require_here("cpu", {"cifar10": str(tmp_path), "cifar100": None})
    with pytest.raises(UserError, match=r"config.yaml: data.cifar10: '.*gone': does not lie on this machine"):
        require_here("cpu", {"cifar10": str(tmp_path / "gone")})
    with pytest.raises(UserError, match=r"; set it there, or by --config data='\{\"cifar10\": PATH\}', to a path"):
        require_here("cpu", {"cifar10": str(tmp_path / "gone")})


@pytest.mark.parametrize(
    ("provider", "prefix", "key"),
    [(None, None, "provider"), (None, "s3://b/x", "provider"), ("s3", None, "prefix"), ("s3", "", "prefix")],
)
def test_kubernetes_without_a_place_for_results(provider, prefix, key):
    line = rf"profiles/kubernetes/config.yaml: default-storage-{key}: not set, .*; name the object store .*, such as s3"
    with pytest.raises(UserError, match=line):
        require_storage(provider, prefix)
    require_storage("s3", "s3://my-bucket/softshare")


def test_kubernetes_in_an_image_without_softshare():
    line = r"kubernetes/config.yaml: container-image: 'snakemake/snakemake:v9.27.1': is Snakemake's own, .*; name the"
    with pytest.raises(UserError, match=line):
        require_image("snakemake/snakemake:v9.27.1")
    require_image("registry.example.org/softshare:0.1.0")
