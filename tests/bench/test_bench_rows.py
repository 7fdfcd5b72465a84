"""Rows of benches that time two networks in turn: their names, and whose time is over whose. No timing is asserted."""

import pytest

from softshare.bench import folding, gpu, inference, measure


@pytest.fixture
def compared(monkeypatch):
    """Functions are not called; each takes the seconds that its name has here. What was to be timed is kept."""
    seconds = {"wrn-28-10": 2.0, "swrn-28-10-2": 3.0, "swrn-28-2": 3.0, "wrn-28-2": 2.0}
    seconds |= {"unfolded": 2.0, "folded": 1.0, "one by one": 6.0, "recorded": 2.0, "compiled": 1.0}
    asked = []

    def alternate(functions, rounds, at_least_seconds=0.0):
        asked.append((functions, rounds, at_least_seconds))
        return {name: [seconds[name]] * rounds for name in functions}

    monkeypatch.setattr(measure, "alternate", alternate)
    monkeypatch.setattr(gpu, "alternate", alternate)
    monkeypatch.setattr(gpu, "_as_the_engine", lambda: "bf16")
    monkeypatch.setattr(gpu, "_waited_for", lambda step: step)
    monkeypatch.setattr(gpu, "training_step", lambda model, batch, **how: (model, batch, how))
    monkeypatch.setattr(inference, "inference_step", lambda model, batch: (model, batch))
    monkeypatch.setattr(inference, "create_model", lambda model: model)
    return asked


def rows(found):
    return [(row.name, row.value, row.rounds) for row in found]


def test_a_step_on_a_gpu(compared, monkeypatch):
    monkeypatch.setattr(gpu, "_shares_of_peak", lambda model, batch, precision, rounds: [0.5] * rounds)
    monkeypatch.setattr(gpu, "_peak_bytes", lambda model, batch: {"swrn-28-10-2": 11.0, "wrn-28-10": 8.0}[model])
    monkeypatch.setattr(gpu, "bank_bytes", lambda model: 2.0)
    name = "gpu.step.swrn-28-10-2.batch128"
    assert rows(gpu.bench_gpu_step(name, 5)) == [
        (name, 1.5, 10),
        (f"{name}.wrn-28-10.images", 5 * 128 / 2, 10),
        (f"{name}.swrn-28-10-2.images", 5 * 128 / 3, 10),
        (f"{name}.of-peak", 0.5, 5),
        (f"{name}.memory", 1.1, 1),
    ]
    assert [list(functions) for functions, *_ in compared] == [
        ["wrn-28-10", "swrn-28-10-2"],
        ["swrn-28-10-2", "wrn-28-10"],
    ]


def test_the_peak_is_counted_without_what_was_timed_before(compared, monkeypatch):
    done = []
    monkeypatch.setattr(gpu, "free_cublas_workspaces", lambda: done.append("freed"))
    monkeypatch.setattr(gpu, "training_step", lambda model, batch, **_: lambda: done.append("step"))
    for name in ("empty_cache", "reset_peak_memory_stats", "synchronize"):
        monkeypatch.setattr(gpu.torch.cuda, name, lambda name=name: done.append(name))
    monkeypatch.setattr(gpu.torch.cuda, "max_memory_allocated", lambda: 5)
    assert gpu._peak_bytes("swrn-28-10-2", 128) == 5
    assert done == ["freed", "empty_cache", "reset_peak_memory_stats", *["step"] * 6, "synchronize"]


def test_a_step_recorded_or_compiled(compared):
    name = "gpu.recorded.swrn-28-10.batch128"
    assert rows(gpu.bench_gpu_recorded(name, 5)) == [(name, 3.0, 5)]
    (functions, *_), how = compared[-1], {"device": gpu._GPU}
    assert functions["recorded"] == ("swrn-28-10", 128, how)
    assert functions["one by one"] == ("swrn-28-10", 128, how | {"records": False})
    name = "gpu.compiled.swrn-28-10.batch128"
    assert rows(gpu.bench_gpu_compiled(name, 5)) == [(name, 2.0, 5)]
    assert compared[-1][0]["compiled"] == ("swrn-28-10", 128, how | {"compiles": True})


def test_inference(compared, monkeypatch):
    name = "inference.swrn-28-2.batch128"
    assert rows(inference.bench_inference(name, 5)) == [(name, 1.5, 10)]
    assert compared[0] == ({kind: (kind, 128) for kind in ("wrn-28-2", "swrn-28-2")}, 5, 15)
    made = []
    monkeypatch.setattr(folding, "inference_step", lambda network, batch: made.append((network, batch)))
    monkeypatch.setattr(folding, "_alike_in_twos", lambda model: model)
    monkeypatch.setattr(folding, "fold", lambda network, threshold: f"{network} folded")
    name = "fold.inference.swrn-28-2-4.batch128"
    assert rows(folding.bench_folded_inference(name, 5)) == [(name, 0.5, 10)]
    in_order = [("swrn-28-2-4", 128), ("swrn-28-2-4 folded", 128)]
    assert made == [*in_order, *reversed(in_order)]
