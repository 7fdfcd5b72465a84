"""The benches of the shortest-path task: that they take real steps and name their rows. No timing is asserted."""

import pytest
import torch

from softshare.bench import measure, paths


@pytest.mark.parametrize("channels_last", [True, False])
def test_a_step_trains_the_network(channels_last, monkeypatch):
    made = []
    create = paths.create_model
    monkeypatch.setattr(paths, "create_model", lambda name: made.append(create(name)) or made[-1])
    step = paths.path_step("scnn-2", 2, channels_last=channels_last, precision="fp32")
    before = [parameter.detach().clone() for parameter in made[0].parameters()]
    step()
    assert all(not torch.equal(old, new) for old, new in zip(before, made[0].parameters(), strict=True))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert made[0].layers[0].conv.weight.is_contiguous(memory_format=layout)


def test_rows_compare_what_they_say(monkeypatch):
    monkeypatch.setattr(paths, "path_step", lambda name, batch, **how: (name, how.get("channels_last", True)))
    seconds = {"cnn-20": 2.0, "scnn-20": 3.0, "plain": 8.0, "fast": 2.0, "step": 1.0, "evaluation": 1.57 * 1.28}
    compared = []

    def alternate(functions, rounds, at_least_seconds=0.0):
        compared.append(functions)
        return {name: [seconds[name]] * rounds for name in functions}

    monkeypatch.setattr(measure, "alternate", alternate)
    monkeypatch.setattr(paths, "alternate", alternate)
    (step,) = paths.bench_path_step("paths.step.scnn-20", 5)
    (throughput,) = paths.bench_path_throughput("paths.throughput", 5)
    assert (step.name, step.value) == ("paths.step.scnn-20", 1.5)
    assert (throughput.name, throughput.value) == ("paths.throughput", 4.0)
    assert [list(each) for each in compared[:2]] == [["cnn-20", "scnn-20"], ["scnn-20", "cnn-20"]]
    assert compared[2] == {"plain": ("cnn-20", False), "fast": ("cnn-20", True)}
    (evaluation,) = paths.bench_path_evaluation("paths.evaluation", 5)
    # 1,000 examples and 157 steps an epoch, timed with 128 examples; 54 evaluations in a phase of 50 epochs.
    assert evaluation.value == pytest.approx(0.108)
    compared[3]["evaluation"]()
