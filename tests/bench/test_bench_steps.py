"""Rows on training steps: whose time is held against whose, parts that come to a whole. No timing is asserted."""

import pytest

from softshare.bench import peak, step_parts, steps


def test_each_shared_network_is_held_against_the_plain_one_of_its_shape(monkeypatch):
    monkeypatch.setattr(steps, "training_step", lambda name, batch: (name, batch))
    seconds = {"wrn-28-10": 2.0, "swrn-28-10": 3.0, "swrn-28-10-2": 5.0}
    compared = []

    def alternate(functions, rounds, at_least_seconds=0.0):
        compared.append((functions, rounds))
        return {name: [seconds[name]] * rounds for name in functions}

    monkeypatch.setattr(steps, "alternate", alternate)
    rows = list(steps.bench_steps("step.28-10.batch16", 7))
    assert [(row.name, row.value, row.rounds) for row in rows] == [
        ("step.swrn-28-10.batch16", 1.5, 8),
        ("step.swrn-28-10-2.batch16", 2.5, 8),
    ]
    assert [rounds for _, rounds in compared] == [4, 4]
    assert list(compared[0][0]) == list(reversed(compared[1][0])) == list(seconds)
    assert compared[0][0]["wrn-28-10"] == ("wrn-28-10", 16)


@pytest.mark.parametrize("name", ["wrn-16-1", "swrn-16-1"])
def test_parts_of_a_step_come_to_the_whole(name, monkeypatch):
    made = []
    create = steps.training_step
    monkeypatch.setattr(step_parts, "training_step", lambda *asked: made.append(create(*asked)) or made[-1])
    begins = f"parts.{name}.batch2"
    rows = {row.name.removeprefix(f"{begins}."): row for row in step_parts.bench_parts(begins, 5)}
    assert list(rows) == ["data", "forward", "backward", "optimiser", "synthesis"]
    synthesis = rows.pop("synthesis").value
    assert 0 < synthesis < 1 if name.startswith("s") else synthesis == 0
    assert all(0 < row.low <= row.value <= row.high < 1 and row.rounds == 5 for row in rows.values())
    assert sum(row.value for row in rows.values()) == pytest.approx(1, abs=0.2)  # medians of shares that come to 1
    model, optimizer = made[0].model, made[0].optimizer
    hooks = (model._forward_hooks, model._forward_pre_hooks, optimizer._optimizer_step_pre_hooks)
    assert not any(hook.__name__ == "stamp" for kind in hooks for hook in kind.values())


def test_share_of_the_peak_is_operations_over_operations(monkeypatch):
    flops = 2 * peak.SIDE**3 / 4  # a quarter of the product's
    monkeypatch.setattr(peak, "training_step", lambda name, batch: None)
    monkeypatch.setattr(peak, "count_flops", lambda step: flops)
    monkeypatch.setattr(peak, "alternate", lambda *asked, **how: {"step": [1.0, 2.0, 4.0], "product": [2.0] * 3})
    (row,) = peak.bench_peak("peak.wrn-28-1.batch128", 5)
    assert (row.name, row.value, row.low, row.high) == ("peak.wrn-28-1.batch128", 0.25, 0.1875, 0.375)
