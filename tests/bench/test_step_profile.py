"""A step taken apart: its kinds, its trace and its arithmetic. No timing is asserted."""

import json

import pytest

from softshare.bench.step_profile import StepProfile, describe_profile, profile_step, shares_of
from softshare.cli import main


def test_kinds_of_operations():
    times = {
        "aten::mkldnn_convolution": 50.0, "aten::convolution_backward": 20.0, "AttachSynthesisBackward": 5.0,
        "aten::native_batch_norm": 10.0, "aten::_fused_sgd_": 5.0, "aten::relu_": 4.0, "aten::add_": 1.0,
        "something": 5.0,
    }  # fmt: skip
    shares = shares_of(times)
    assert shares == {
        "convolution": 0.7, "batch norm": 0.1, "synthesis": 0.05, "optimiser": 0.05,
        "activation, addition, pooling": 0.05, "other": 0.05,
    }  # fmt: skip
    assert next(iter(shares)) == "convolution" and sum(shares.values()) == pytest.approx(1)
    assert shares_of({}) == {}


def test_share_of_the_peak():
    found = StepProfile("wrn-28-2", 128, "fp32", seconds=0.5, flops=10**11, peak=4e11, shares={"convolution": 1.0})
    assert found.of_peak == 0.5
    page = describe_profile(found)
    assert "500.0 ms a step, 100.0 GFLOP:" in page and "\n50 % of the 400 GFLOP/s" in page and "| convolution" in page


@pytest.mark.slow
def test_a_trace_and_a_page_are_left(tmp_path, capsys):
    assert main(["bench", "--profile", "swrn-16-1", "--batch", "4", "--out", str(tmp_path / "out")]) == 0
    assert "A training step of swrn-16-1, batch 4" in capsys.readouterr().out
    trace = json.loads((tmp_path / "out" / "profile-swrn-16-1-batch4.json").read_text())
    assert any("convolution" in str(event.get("name")) for event in trace["traceEvents"])
    assert (tmp_path / "out" / "profile-swrn-16-1-batch4.md").read_text().startswith("# A training step")


def test_convolutions_and_the_bank_are_counted(tmp_path):
    plain = profile_step("wrn-16-1", 2, tmp_path, rounds=1)
    # 26.9 million multiply-adds an image at least: forward, and twice as many backward.
    assert 2 * 2 * 3 * 20e6 < plain.flops < 2 * 2 * 3 * 60e6
    assert "convolution" in plain.shares and "synthesis" not in plain.shares
    assert "synthesis" in profile_step("swrn-16-1", 2, tmp_path, rounds=1).shares


def test_bad_input_is_one_line(tmp_path, capsys):
    for given in (["--profile", "swrm-16-1"], ["--profile", "wrn-16-1", "--batch", "0"]):
        assert main(["bench", *given, "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "Traceback" not in error
    assert not list(tmp_path.rglob("*.json"))
