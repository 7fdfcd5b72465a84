"""What a manifest tells of the command that made a run."""

import sys

import pytest

from softshare.training.record import provenance


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "--out", "/home/somebody/run", "--seed", "3"], ["train", "--out", "run", "--seed", "3"]),
        (["train", "--data=/mnt/sets/cifar.tar.gz"], ["train", "--data=cifar.tar.gz"]),
        (["train", "--out", "results/compact/run"], ["train", "--out", "results/compact/run"]),
        (["report", "a=/b"], ["report", "a=/b"]),
    ],
)
def test_of_an_absolute_path_the_name_alone_is_told(words, told, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/softshare", *words])
    assert provenance()["argv"] == ["softshare", *told]
