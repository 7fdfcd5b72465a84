"""Weights as a file: the same bytes for the same weights, and one line where a file is none."""

import json

import pytest
import torch
from safetensors import safe_open
from torch import nn

from softshare.errors import UserError
from softshare.models.weights import load_weights, write_weights


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_what_is_written_is_read_back_to_the_bit(model, tmp_path):
    first, again = tmp_path / "first.safetensors", tmp_path / "again.safetensors"
    write_weights(first, model, {"model": "m", "seed": 1})
    write_weights(again, model.to(memory_format=torch.channels_last), {"model": "m", "seed": 1})
    assert first.read_bytes() == again.read_bytes()
    with safe_open(first, framework="pt") as stored:
        assert json.loads(stored.metadata()["softshare"]) == {"model": "m", "seed": 1}
    fresh = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    assert load_weights(fresh, first) is fresh
    for name, tensor in model.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor), name


def test_a_file_that_is_none_is_one_line(model, tmp_path):
    whole = tmp_path / "whole.safetensors"
    write_weights(whole, model, {})
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-8])
    cases = [
        (tmp_path / "absent.safetensors", r"absent\.safetensors: no such file; is the run complete\?"),
        (cut, r"cut\.safetensors: cannot be read .*; is it truncated\?"),
        (tmp_path, r"cannot be read"),
    ]
    for file, said in cases:
        with pytest.raises(UserError, match=said):
            load_weights(model, file)
    with pytest.raises(UserError, match=r"whole\.safetensors: holds the weights of another model"):
        load_weights(nn.Linear(2, 2), whole)
