"""Rows on training steps: whose time is held against whose, parts that come to a whole. No timing is asserted."""

import pytest
import torch

from softshare.bench import measure, peak, step_parts, steps
from softshare.sharing import TemplateBank
from softshare.sharing.synthesis import AttachSynthesis


def test_each_shared_network_is_held_against_the_plain_one_of_its_shape(monkeypatch):
    monkeypatch.setattr(steps, "training_step", lambda name, batch: (name, batch))
    seconds = {"wrn-28-10": 2.0, "swrn-28-10": 3.0, "swrn-28-10-2": 5.0}
    compared = []

    def alternate(functions, rounds, at_least_seconds=0.0):
        compared.append((functions, rounds))
        return {name: [seconds[name]] * rounds for name in functions}

    monkeypatch.setattr(measure, "alternate", alternate)
    rows = list(steps.bench_steps("step.28-10.batch16", 7))
    assert [(row.name, row.value, row.rounds) for row in rows] == [
        ("step.swrn-28-10.batch16", 1.5, 8),
        ("step.swrn-28-10-2.batch16", 2.5, 8),
    ]
    assert [rounds for _, rounds in compared] == [4, 4]
    assert list(compared[0][0]) == list(reversed(compared[1][0])) == list(seconds)
    assert compared[0][0]["wrn-28-10"] == ("wrn-28-10", 16)


def test_a_compiled_network_is_held_against_what_the_engine_does(monkeypatch):
    monkeypatch.setattr(steps, "training_step", lambda name, batch, compiles=False: (name, batch, compiles))
    seconds = {("wrn-28-1", 128, False): 3.0, ("wrn-28-1", 128, True): 2.0}
    monkeypatch.setattr(
        steps, "alternate", lambda functions, rounds: {k: [seconds[f]] * rounds for k, f in functions.items()}
    )
    (row,) = steps.bench_compiled("compiled.wrn-28-1.batch128", 5)
    assert (row.name, row.value, row.rounds) == ("compiled.wrn-28-1.batch128", 1.5, 5)


def test_a_name_tells_network_batch_and_the_plain_network_of_that_shape():
    assert steps.model_and_batch("memory.swrn-28-10.batch16") == ("swrn-28-10", 16)
    assert steps.model_and_batch("gpu.step.swrn-50-2.batch256") == ("swrn-50-2", 256)
    plain = {"swrn-28-10-2": "wrn-28-10", "swrn-50-2": "wrn-50-2", "scnn-20": "cnn-20", "scnn-20-4": "cnn-20"}
    assert {name: steps.plain_of(name) for name in plain} == plain


def test_a_bank_takes_the_bytes_of_all_weights_that_share_it():
    # swrn-16-1 shares two 3x3 convolutions in each stage, of 16, 32 and 64 channels, whatever their templates are.
    weights = sum(2 * 9 * channels**2 for channels in (16, 32, 64))
    assert steps.bank_bytes("swrn-16-1") == steps.bank_bytes("swrn-16-1-1") == 4 * weights


@pytest.mark.parametrize("name", ["wrn-16-1", "swrn-16-1"])
def test_rows_of_parts_are_shares_of_the_whole_step(name, monkeypatch):
    parts = [{"data": 1.0, "forward": 3.0, "backward": 5.0, "optimiser": 1.0, "synthesis": each} for each in range(5)]
    coming = iter(parts)
    monkeypatch.setattr(step_parts, "time_parts", lambda step, load: load() and next(coming))
    rows = list(step_parts.bench_parts(f"parts.{name}.batch2", 5))
    assert [row.name.rpartition(".")[2] for row in rows] == ["data", "forward", "backward", "optimiser", "synthesis"]
    assert [row.value for row in rows] == [0.1, 0.3, 0.5, 0.1, 0.2] and {row.rounds for row in rows} == {5}


def test_each_moment_of_a_step_counts_for_its_part(monkeypatch):
    clock = [0.0]

    def later(seconds):
        clock[0] += seconds

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bank = TemplateBank(2, 2, (3, 3))

        def forward(self, x):
            later(2)
            return sum(weight.sum() for weight in self.bank()) * x

    network = Network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)

    def take():
        loss = network(torch.ones(()))
        later(4)
        loss.backward()
        optimizer.step()
        later(8)

    monkeypatch.setattr(step_parts.time, "perf_counter", lambda: clock[0])
    slow = {"_synthesise": (TemplateBank, 16), "_gradients": (AttachSynthesis, 32)}
    for name, (where, seconds) in slow.items():
        inner = getattr(where, name)
        outer = lambda *asked, inner=inner, seconds=seconds: later(seconds) or inner(*asked)  # noqa: E731
        monkeypatch.setattr(where, name, outer if name == "_synthesise" else staticmethod(outer))
    found = step_parts.time_parts(steps.TrainingStep(network, optimizer, take), lambda: later(1))
    assert found == {"data": 1, "forward": 2 + 16, "backward": 4 + 32, "optimiser": 8, "synthesis": 16 + 32}
    assert not network._forward_hooks and not optimizer._optimizer_step_pre_hooks
    before = clock[0]
    network.bank.forget()
    network.bank()
    assert clock[0] == before + 16 and found["synthesis"] == 48  # watched no longer


def test_share_of_the_peak_is_operations_over_operations(monkeypatch):
    flops = 2 * peak.SIDE**3 / 4  # a quarter of the product's
    monkeypatch.setattr(peak, "training_step", lambda name, batch: None)
    monkeypatch.setattr(peak, "count_flops", lambda step: flops)
    monkeypatch.setattr(peak, "alternate", lambda *asked, **how: {"step": [1.0, 2.0, 4.0], "product": [2.0] * 3})
    (row,) = peak.bench_peak("peak.wrn-28-1.batch128", 5)
    assert (row.name, row.value, row.low, row.high) == ("peak.wrn-28-1.batch128", 0.25, 0.1875, 0.375)


def test_what_precision_gains_a_product(monkeypatch):
    monkeypatch.setattr(peak, "resolve_precision", lambda name, device: "bf16")
    monkeypatch.setattr(peak, "matrix_product", lambda side, precision, device: precision)
    asked = {}
    second = 2 * peak.SIDE**3 / 1e9  # of a product at 1 GFLOP/s

    def alternate(functions, *_, **__):
        asked.update(functions)
        return {"auto": [second / 4, second / 5, second / 6], "fp32": [second, second, second / 2]}

    monkeypatch.setattr(peak, "alternate", alternate)
    ratio, auto, fp32 = peak.bench_product("peak.product", 5)
    assert asked == {"auto": "bf16", "fp32": "fp32"}
    assert (ratio.name, ratio.unit, ratio.value) == ("peak.product", "ratio (bf16)", 4)
    assert (auto.name, auto.unit, auto.value) == ("peak.product.auto", "GFLOP/s", pytest.approx(5))
    assert (fp32.name, fp32.value) == ("peak.product.fp32", pytest.approx(1))
