"""A precision that nobody named is that of the runs beside, so that `auto` on unlike nodes mixes none."""

import json

import pytest
import torch

from softshare.cli import main
from softshare.errors import UserError
from softshare.files import write_json
from softshare.runfiles import CHECKPOINT, MANIFEST, METRICS
from softshare.training import device
from softshare.training.checkpoint import save_checkpoint
from softshare.training.device import PRECISIONS, multiplies_in
from softshare.training.fitting_precision import fitting_precision, precision_as_trained

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def has_bf16(monkeypatch):
    """Says whether the CPU multiplies in bf16."""
    return lambda has: monkeypatch.setattr(device, "_has_bf16", lambda _: has)


@pytest.fixture
def setting(tmp_path):
    return tmp_path / "runs" / "digits" / "swrn-16-1" / "cifar"


def trained(folder, precision):
    folder.mkdir(parents=True)
    write_json(folder / MANIFEST, {"precision": precision, "identity": {"precision": precision}})
    write_json(folder / METRICS, {})


def begun(folder, precision):
    folder.mkdir(parents=True)
    save_checkpoint(folder / CHECKPOINT, {"identity": {"precision": precision}})


@pytest.mark.parametrize(("has", "fastest"), [(True, "bf16"), (False, "fp32")])
def test_the_first_run_takes_the_fastest(has_bf16, setting, has, fastest):
    has_bf16(has)
    assert fitting_precision(setting / "seed0", "digits", CPU) == (fastest, "")
    trained(setting / "seed1", fastest)
    assert fitting_precision(setting / "seed0", "digits", CPU) == (fastest, "")


@pytest.mark.parametrize("leave", [trained, begun])
@pytest.mark.parametrize("where", ["seed0", "seed1"])
def test_a_run_takes_that_of_its_seeds_where_the_hardware_has_it(has_bf16, setting, leave, where):
    has_bf16(True)
    leave(setting / where, "fp32")
    precision, why = fitting_precision(setting / "seed0", "digits", CPU)
    assert precision == "fp32" and why == f"precision: fp32, not bf16: so is {setting / where}"


@pytest.mark.parametrize("leave", [trained, begun])
def test_another_seed_s_is_not_given_up_where_the_hardware_lacks_it(has_bf16, setting, leave):
    has_bf16(False)
    leave(setting / "seed1", "bf16")
    line = r"precision: 'auto': is fp32 on this hardware, and .*seed1 is in bf16; .*name a precision \(fp32\)"
    with pytest.raises(UserError, match=line):
        fitting_precision(setting / "seed0", "digits", CPU)


@pytest.mark.parametrize("leave", [trained, begun])
def test_nor_that_which_the_run_was_begun_in(has_bf16, setting, leave):
    has_bf16(False)
    leave(setting / "seed0", "bf16")
    with pytest.raises(UserError, match=r"seed0 is in bf16; .*, or give it another --out"):
        fitting_precision(setting / "seed0", "digits", CPU)


def test_other_rows_of_the_dataset_count_where_no_seed_is_there(has_bf16, setting, monkeypatch):
    has_bf16(True)
    trained(setting.parents[1] / "wrn-16-1" / "cifar" / "seed0", "fp32")
    assert fitting_precision(setting / "seed0", "digits", CPU)[0] == "fp32"
    monkeypatch.chdir(setting.parents[2])  # a path that is not whole finds them, too
    assert fitting_precision(setting.relative_to(setting.parents[2]) / "seed0", "digits", CPU)[0] == "fp32"
    trained(setting / "seed1", "bf16")
    assert fitting_precision(setting / "seed0", "digits", CPU) == ("bf16", "")


def test_what_is_no_run_beside_it_does_not(has_bf16, setting, tmp_path):
    has_bf16(True)
    trained(setting.parents[2] / "cifar10" / "wrn-16-1" / "cifar" / "seed0", "fp32")  # another dataset
    begun(setting.parents[1] / "wrn-16-1" / "cifar" / "seed0", "fp32")  # another row, in training
    trained(setting / "seed1", "fp64")  # unknown
    trained(setting / "seed2", None)
    (setting / "seed3").mkdir()
    (setting / "seed3" / CHECKPOINT).write_bytes(b"torn")
    trained(setting / "seed4", "fp32")
    (setting / "seed4" / MANIFEST).write_text("{")
    assert fitting_precision(setting / "seed0", "digits", CPU) == ("bf16", "")
    trained(tmp_path / "mine" / "other", "fp32")
    assert fitting_precision(tmp_path / "mine" / "one", "digits", CPU) == ("bf16", "")


def test_where_runs_of_two_lie_beside_it_the_fastest_stays(has_bf16, setting):
    has_bf16(True)
    trained(setting / "seed1", "fp32")
    trained(setting / "seed2", "bf16")
    assert fitting_precision(setting / "seed0", "digits", CPU) == ("bf16", "")


def test_a_torn_checkpoint_of_its_own_is_told(setting):
    (setting / "seed0").mkdir(parents=True)
    (setting / "seed0" / CHECKPOINT).write_bytes(b"torn")
    with pytest.raises(UserError, match="is no checkpoint of softshare"):
        fitting_precision(setting / "seed0", "digits", CPU)


@pytest.mark.parametrize(
    ("name", "manifest", "has", "taken"),
    [
        ("auto", {"precision": "fp32"}, True, "fp32"),
        ("auto", {"precision": "bf16"}, True, "bf16"),
        ("auto", {"precision": "bf16"}, False, "fp32"),  # of a run from elsewhere
        ("auto", {"precision": "tf32"}, True, "bf16"),
        ("auto", {"precision": "fp64"}, True, "bf16"),
        ("auto", {}, True, "bf16"),
        ("fp32", {"precision": "bf16"}, True, "fp32"),
        ("bf16", {"precision": "fp32"}, False, "bf16"),
    ],
)
def test_a_complete_run_is_folded_in_its_own_precision(has_bf16, name, manifest, has, taken):
    has_bf16(has)
    assert precision_as_trained(name, manifest, CPU) == taken


@pytest.mark.parametrize("has", [True, False])
def test_a_named_precision_that_the_hardware_lacks_is_told(has_bf16, tmp_path, capsys, has):
    has_bf16(has)
    run = ["train", "--dataset", "digits", "--model", "swrn-16-1-1", "--epochs", "1", "--device", "cpu", "--quiet"]
    assert main([*run, "--precision", "bf16", "--out", str(tmp_path / "run")]) == 0
    line = "precision: bf16: this hardware does not multiply in it; fp32 would be faster"
    assert (line in capsys.readouterr().out) is not has


@pytest.mark.parametrize(
    ("capability", "has"),
    [
        ((8, 0), {"fp32", "bf16", "fp16", "tf32"}),
        ((7, 0), {"fp32", "fp16"}),
        ((6, 1), {"fp32"}),
    ],
)
def test_what_a_gpu_multiplies_in(monkeypatch, capability, has):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert {each for each in PRECISIONS if multiplies_in(each, GPU)} == has


def test_a_gpu_of_another_kind_goes_on_in_the_precision_of_the_first(monkeypatch, setting):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    begun(setting / "seed0", "fp16")  # on one of 7.x
    assert fitting_precision(setting / "seed0", "digits", GPU)[0] == "fp16"


def test_a_run_says_so_and_trains_and_a_named_precision_is_taken_at_its_word(has_bf16, setting, tmp_path, capsys):
    asked = ["train", "--model", "swrn-16-1", "--dataset", "digits", "--recipe", "cifar", "--epochs", "1", "--quiet"]
    asked += ["--cache", str(tmp_path / "cache"), "--device", "cpu"]
    has_bf16(True)
    trained(setting / "seed1", "fp32")
    assert main([*asked, "--out", str(setting / "seed0")]) == 0
    assert capsys.readouterr().out.startswith("precision: fp32, not bf16: so is ")
    assert json.loads((setting / "seed0" / MANIFEST).read_text())["precision"] == "fp32"
    has_bf16(False)
    other = setting.parent / "cifar-cutout"
    trained(other / "seed1", "bf16")
    assert main([*asked, "--out", str(other / "seed0")]) == 2
    assert "precision: 'auto': is fp32 on this hardware" in capsys.readouterr().err
    assert not (other / "seed0").exists()
    assert main([*asked, "--precision", "fp32", "--out", str(other / "seed0")]) == 0
    assert capsys.readouterr().out.startswith(str(other / "seed0"))
