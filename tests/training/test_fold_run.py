"""What folding a trained network costs, from the command line down."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.optim.swa_utils import update_bn

import softshare
from softshare.cli import main
from softshare.errors import UserError
from softshare.evidence.foldings.reading import read_folding
from softshare.models.folded import load_folded, save_folded
from softshare.training.device import autocast
from softshare.training.evaluation import mistakes
from softshare.training.folding import own_layers, parse_thresholds
from softshare.training.trained import load_trained

TRAIN = ["--dataset", "digits", "--epochs", "2", "--quiet", "--threads", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "--model", "swrn-22-1-2", *TRAIN, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def folded(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("folded")
    options = ["--thresholds", "0:1:0.1", "--threshold", "0.8", "--device", "cpu", "--reestimate-on", "300"]
    assert main(["fold", str(run), *options, "--out", str(out)]) == 0
    return out


def test_a_row_a_threshold_beside_the_network_as_it_was_trained(run, folded):
    rows = pd.read_csv(folded / "folding.csv")
    assert len(rows) == 12 and np.isnan(rows.threshold[0]) and list(rows.threshold[1:]) == [i / 10 for i in range(11)]
    error = json.loads((run / "metrics.json").read_text())["test"]["error"]
    assert (rows.error_before == rows.error_before[0]).all() and rows.error_before[0] == pytest.approx(error)
    assert rows.p[0] == 1 and rows.only_before[0] == rows.only_after[0] == 0
    assert rows.layers[0] == 21 and rows.layers[1] == 21 - 3 * 3 and rows.layers[1:].is_monotonic_increasing
    images = json.loads((folded / "folding.json").read_text())["test_images"]
    difference = (rows.only_after - rows.only_before) / images * 100
    np.testing.assert_allclose(rows.error_after - rows.error_before, difference, atol=1e-9)
    assert rows.error_reestimated.notna().all() and rows.p_reestimated[1:].between(0, 1).all()
    # Against the network as it was trained with statistics estimated anew: at 1 nothing is tied, and nothing differs.
    assert np.isnan(rows.p_reestimated[0]) and rows.p_reestimated.iloc[-1] == 1
    assert rows.error_reestimated.iloc[-1] == rows.error_reestimated[0]


def test_each_stage_is_folded_alone_too(run, folded):
    described = json.loads((folded / "folding.json").read_text())
    found, costs = read_folding(folded / "folding.json"), described["stage_costs"]
    assert costs.keys() == found.chosen.stages.keys() == {"stage1", "stage2", "stage3"}
    saved = {stage: len(loops.sequence) - len(loops.distinct) for stage, loops in found.chosen.stages.items()}
    assert sum(saved.values()) > 0, "of four layers with two templates some are alike"
    assert {stage: 21 - cost["layers"] for stage, cost in costs.items()} == saved
    for stage, cost in costs.items():
        trained = load_trained(run, None, None, torch.device("cpu"))
        tied = softshare.tie(trained.model, 0.8, groups=[stage])
        assert cost["parameters"] == sum(parameter.numel() for parameter in tied.parameters())
        wrong = mistakes(tied, trained.test_loader(), described["precision"])
        assert cost["error_after"] == pytest.approx(100 * float(wrong.mean()))
        with autocast(trained.device, described["precision"]):
            update_bn((images for images, _ in trained.training_loader(300).epoch(0)), tied)
        wrong = mistakes(tied, trained.test_loader(), described["precision"])
        assert cost["error_reestimated"] == pytest.approx(100 * float(wrong.mean()))
        assert 0 <= cost["p_reestimated"] <= 1


def test_without_statistics_anew_no_stage_has_any(run, tmp_path):
    options = ["--device", "cpu", "--reestimate-on", "0", "--out", str(tmp_path)]
    assert main(["fold", str(run), *options]) == 0
    costs = json.loads((tmp_path / "folding.json").read_text())["stage_costs"]
    assert {(cost["error_reestimated"], cost["p_reestimated"]) for cost in costs.values()} == {(None, None)}


def test_the_kept_network_stands_by_itself(run, folded):
    trained = load_trained(run, None, None, torch.device("cpu"))
    network, fresh = load_folded(folded / "folded.safetensors"), softshare.fold(trained.model.eval(), 0.8)
    images = torch.randn(3, 3, 8, 8)
    torch.testing.assert_close(network(images), fresh(images))
    assert network.folding == fresh.folding and not network.training
    rows = pd.read_csv(folded / "folding.csv").set_index("threshold")
    assert sum(parameter.numel() for parameter in network.parameters()) == rows.parameters[0.8]
    with safe_open(folded / "folded.safetensors", framework="pt") as stored:
        values = sum(np.prod(stored.get_slice(key).get_shape(), dtype=int) for key in set(stored.keys()))
    buffers = sum(buffer.numel() for buffer in network.buffers())
    assert values == rows.parameters[0.8] + buffers


def test_the_drawings_are_there_and_the_same_for_the_same_run(run, folded, tmp_path):
    for name in ("folding", "folding-cost"):
        for ending in ("svg", "png", "pdf"):
            assert (folded / f"{name}.{ending}").stat().st_size > 2000
    again = tmp_path / "again"
    options = ["--thresholds", "0:1:0.1", "--device", "cpu", "--reestimate-on", "300"]
    assert main(["fold", str(run), *options, "--out", str(again)]) == 0
    for file in ("folding.svg", "folding-cost.png", "folding.csv", "folded.safetensors"):
        assert (folded / file).read_bytes() == (again / file).read_bytes(), file
    text = (folded / "folding.svg").read_text()
    assert "swrn-22-1-2" in text or "<!-- swrn" in text


def test_what_is_printed(run, tmp_path, capsys):
    assert main(["fold", str(run), "--threshold", "0", "--device", "cpu", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^stage2 alone: [\d.]+ to [\d.]+ % error, p = ", said, re.MULTILINE)
    assert "stage1: (a) x 4" in said and "12 layers in place of 21" in said and "not folded" in said
    assert not (tmp_path / "folding-cost.svg").exists()  # one threshold makes no curve


@pytest.mark.parametrize(
    ("command", "computes"),
    [("evaluate", "softshare.training.run.evaluate"), ("fold", "softshare.training.folding_costs.mistakes")],
)
def test_fp32_is_computed_without_tf32(run, monkeypatch, command, computes):
    allowed = []

    def computed(*_):
        allowed.append(torch.backends.cudnn.allow_tf32)
        raise UserError("far enough")

    monkeypatch.setattr(computes, computed)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert main([command, str(run), "--precision", "fp32", "--device", "cpu"]) == 2
    assert allowed == [False]


def test_a_curve_of_an_earlier_folding_does_not_stay(run, tmp_path):
    command = ["fold", str(run), "--device", "cpu", "--reestimate-on", "0", "--out", str(tmp_path)]
    assert main([*command, "--thresholds", "0.5,0.9"]) == 0 and (tmp_path / "folding-cost.png").exists()
    assert main(command) == 0 and not list(tmp_path.glob("folding-cost.*"))
    assert pd.read_csv(tmp_path / "folding.csv").error_reestimated.isna().all()


def test_evidence_reads_it(folded):
    read = read_folding(folded / "folding.json")
    assert read.chosen.threshold == 0.8 and read.own_layers == {"stage1": 2, "stage2": 2, "stage3": 2}
    assert set(read.similarity) == {"stage1", "stage2", "stage3"}


def test_statistics_are_estimated_on_images_of_all_classes_though_a_set_lies_sorted(run):
    trained = load_trained(run, None, None, torch.device("cpu"))
    order = trained.images.train_labels.argsort()
    sorted_by_class = dataclasses.replace(
        trained.images, train_images=trained.images.train_images[order], train_labels=trained.images.train_labels[order]
    )
    loader = dataclasses.replace(trained, images=sorted_by_class).training_loader(256)
    batches = [labels for _, labels in loader.epoch(0)]
    assert sum(map(len, batches)) == 256 and all(len(labels.unique()) == 10 for labels in batches)
    assert torch.equal(batches[0], next(iter(loader.epoch(0)))[1])


def test_first_blocks_layers_are_counted_as_the_stages_own():
    assert own_layers(softshare.create_model("swrn-28-2-4")) == {"stage1": 2, "stage2": 2, "stage3": 2}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.8", [0.8]),
        ("0.9,0.7", [0.7, 0.9]),
        ("0.5:1.0:0.05", [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0]),
        ("0:1:0.3", [0, 0.3, 0.6, 0.9]),
        ("1:1:0.1", [1.0]),
    ],
)
def test_thresholds(text, values):
    assert parse_thresholds(text) == values


@pytest.mark.parametrize("text", ["", "high", "0.5:1.0", "0.5:1:0", "1:0.5:0.1", "0.5:1:nan", "0.8:1:0.1:3"])
def test_what_is_no_threshold_is_refused(text):
    with pytest.raises(UserError, match="is no threshold"):
        parse_thresholds(text)


@pytest.mark.attack("bad input: commands, names, recipes, runs, checkpoints, images")
@pytest.mark.parametrize("text", ["\u0660.\u0668", "\uff10.\uff18", "0.8_0", "0.7,0.8_0", "0:1:0.1_0", "\u00a00.8"])
def test_digits_of_other_scripts_are_no_thresholds(text):
    with pytest.raises(UserError, match="is no threshold"):
        parse_thresholds(text)


@pytest.mark.parametrize("text", ["0:1:1e-9", "0:1:0.0009", "0:0:1e-4"])
def test_more_thresholds_than_show_anything_are_refused(text):
    with pytest.raises(UserError, match=r"steps from 0\.001 are taken"):
        parse_thresholds(text)


@pytest.mark.parametrize("text", ["1.5", "-0.1", "nan", "0.5:1.2:0.1", "inf:inf:1"])
def test_a_threshold_outside_is_refused(text):
    with pytest.raises(UserError, match=r"outside \[0, 1\]"):
        parse_thresholds(text)


def test_bad_input_is_one_line_and_leaves_nothing(run, tmp_path, capsys):
    plain = tmp_path / "plain"
    assert main(["train", "--model", "wrn-16-1", *TRAIN, "--out", str(plain)]) == 0
    empty = tmp_path / "empty"
    empty.mkdir()
    other = tmp_path / "other"
    other.mkdir()
    for name in ("metrics.json", "manifest.json"):
        (other / name).write_bytes((run / name).read_bytes())
    (other / "model.safetensors").write_bytes((plain / "model.safetensors").read_bytes())
    cut = tmp_path / "cut"
    cut.mkdir()
    for name in ("metrics.json", "manifest.json"):
        (cut / name).write_bytes((run / name).read_bytes())
    (cut / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes()[:900])
    weightless = tmp_path / "weightless"
    weightless.mkdir()
    for name in ("metrics.json", "manifest.json"):
        (weightless / name).write_bytes((run / name).read_bytes())
    listed = tmp_path / "listed"
    shutil.copytree(run, listed)
    (listed / "metrics.json").write_text("[]")
    unset = tmp_path / "unset"
    shutil.copytree(run, unset)
    manifest = json.loads((run / "manifest.json").read_text())
    del manifest["settings"]["padding"]
    (unset / "manifest.json").write_text(json.dumps(manifest))
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    state = load_file(run / "model.safetensors")
    state["stage1.1.conv1.template_bank.coefficients"][0, 0] = float("nan")
    save_file(state, broken / "model.safetensors")
    out = tmp_path / "out"
    cases = [
        ([str(listed)], "is missing", "metrics.json"),
        ([str(unset)], "'padding' is missing", "manifest.json"),
        ([str(broken)], "NaN", "stage1"),
        ([str(run), "--thresholds", "0:1000000:0.0001"], "outside [0, 1]", "1000000"),
        ([str(plain)], "shares no layers", "wrn-16-1"),
        ([str(tmp_path / "none")], "no such folder", "none"),
        ([str(empty)], "no such file", "metrics.json"),
        ([str(other)], "another model", "model.safetensors"),
        ([str(cut)], "truncated", "model.safetensors"),
        ([str(weightless)], "no such file", "model.safetensors"),
        ([str(run), "--threshold", "1.2"], "outside [0, 1]", "1.2"),
        ([str(run), "--threshold", "0.7,0.8"], "one number", "threshold"),
        ([str(run), "--thresholds", "some"], "no threshold", "some"),
        ([str(run), "--reestimate-on", "-1"], "0 or more", "reestimate-on"),
    ]
    capsys.readouterr()
    for arguments, problem, where in cases:
        assert main(["fold", *arguments, "--device", "cpu", "--out", str(out)]) == 2
        said = capsys.readouterr().err
        assert problem in said and where in said and said.count("\n") == 1, said
        assert not out.exists()


def test_a_folded_file_that_is_none_is_refused(run, folded, tmp_path):
    with pytest.raises(UserError, match="holds no folded network"):
        load_folded(run / "model.safetensors")
    with pytest.raises(UserError, match="no such file"):
        load_folded(tmp_path / "none.safetensors")
    whole = (folded / "folded.safetensors").read_bytes()
    for size in (0, 5, 200, len(whole) - 10):
        (tmp_path / "cut.safetensors").write_bytes(whole[:size])
        with pytest.raises(UserError, match="cannot be read"):
            load_folded(tmp_path / "cut.safetensors")
    with pytest.raises(UserError, match="does not fit"):
        load_folded(folded / "folded.safetensors", softshare.create_model("swrn-16-1-2"))
    with pytest.raises(UserError, match="tied already"):
        load_folded(folded / "folded.safetensors", softshare.tie(softshare.create_model("swrn-22-1-2"), 0.9))
    with pytest.raises(UserError, match="folded already"):
        load_folded(folded / "folded.safetensors", load_folded(folded / "folded.safetensors"))
    with pytest.raises(UserError, match="cannot be read"):
        load_folded(tmp_path)
    with pytest.raises(UserError, match="is no folded network"):
        save_folded(softshare.create_model("swrn-22-1-2"), tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="no result of folding"):
        (tmp_path / "folding.json").write_text('{"run": {}}')
        read_folding(tmp_path / "folding.json")
