"""What is counted, against what is known from arithmetic and from the reference numbers."""

import pytest
import torch

from softshare.forecast.counting import count
from softshare.forecast.workload import workload
from softshare.models import create_model
from softshare.scales import Setting, load_scale


def paper(dataset, model, recipe):
    return workload(Setting(dataset, model, recipe), load_scale("paper"))


def test_a_wrn_28_10_costs_what_the_reference_numbers_say():
    work = paper("cifar10", "wrn-28-10", "cifar")
    cost = count(work)
    assert cost.forward_flops == pytest.approx(2 * 5.243e9, rel=1e-3)
    assert cost.training_flops(work.train_seen, work.steps) == pytest.approx(315e15, rel=2e-3)
    assert cost.parameters == sum(each.numel() for each in create_model("wrn-28-10").parameters())
    assert cost.step_flops == 0
    assert (work.steps, work.train_seen, work.evaluated_examples) == (200 * 391, 200 * 50_000, 200 * 10_000)


def test_sharing_costs_a_step_its_synthesis_and_an_example_nothing():
    plain, shared = (count(paper("cifar10", name, "cifar")) for name in ("wrn-16-1", "swrn-16-1"))
    assert shared.example_flops == plain.example_flops
    # Forward: L x k x N multiplications and additions a group; backward: twice that.
    groups = [(2, 16), (2, 32), (2, 64)]
    assert shared.step_flops == sum(3 * 2 * layers * layers * 9 * width**2 for layers, width in groups)


def test_forward_and_backward_are_three_forwards_but_for_the_images():
    cost = count(paper("cifar10", "wrn-28-10", "cifar"))
    first = 2 * 32 * 32 * 9 * 3 * 16  # the first convolution makes no gradient of the images
    assert cost.example_flops == 3 * cost.forward_flops - first


def test_shortest_paths_are_counted_through_their_phases():
    work = paper("shortest-paths", "scnn-20", "paths")
    assert work.epochs == 250 and work.steps == 250 * 157
    assert work.evaluated_examples == (250 + 5 * 4) * 1000
    anew = paper("shortest-paths", "scnn-20", "paths-anew")
    assert anew.evaluated_examples == 2 * (250 + 5 * 4) * 1000 + 250 * 720
    assert count(work).training_flops(work.train_seen, work.steps) == pytest.approx(1.4e15, rel=0.02)


def test_memory_is_at_least_what_a_step_holds():
    work = paper("cifar10", "wrn-16-1", "cifar")
    cost = count(work)
    saved = {}

    def keep(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    model = create_model("wrn-16-1")
    own = {each.untyped_storage().data_ptr() for each in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda each: each):
        model(torch.randn(4, 3, 32, 32)).sum()
    real = sum(size for place, size in saved.items() if place not in own)
    assert cost.memory_bytes(4) - cost.state_bytes == pytest.approx(real, rel=0.05)
