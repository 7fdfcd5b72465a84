"""Section 3.2: "for networks with normalization layers, the network's output is invariant to weight rescaling".

Held against its statement with the statistics of the batch, as in training: running ones do not follow a weight.
"""

import pytest
import torch

import softshare

IMAGES = {"swrn-16-1": (8, 3, 16, 16), "scnn-4": (8, 2, 16, 16), "swrn-50-1": (4, 3, 64, 64)}


def _rescaling_changes(name, factor):
    """By how much of its spread the output changes with the weight of a bank's first two layers times `factor`."""
    torch.manual_seed(0)
    classes = {"num_classes": 10} if name.startswith("swrn") else {}
    model = softshare.create_model(name, **classes).double().train()  # norms of the batch, as in training
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-12  # which does not scale
    inputs = torch.randn(IMAGES[name], dtype=torch.float64)
    changes = []
    with torch.no_grad():
        for parameter in model.parameters():  # some norms start at 0, and would hide their branch
            parameter.add_(0.1 * torch.randn_like(parameter))
        output = model(inputs)
        for bank in softshare.banks(model).values():
            for row in bank.coefficients[:2]:
                row.mul_(factor)
                changes.append(float((model(inputs) - output).abs().max() / output.std()))
                row.div_(factor)
    return changes


@pytest.mark.parametrize("name", ["scnn-4", "swrn-50-1"])
def test_it_holds_where_each_shared_convolution_is_normalised(name):
    assert max(_rescaling_changes(name, 2.0)) < 1e-6


def test_of_a_pre_activation_block_it_holds_for_the_first_convolution_alone():
    changes = _rescaling_changes("swrn-16-1", 2.0)  # rows of a bank are first and second convolutions by turns
    assert len(changes) == 6
    assert max(changes[0::2]) < 1e-6 < 0.05 < min(changes[1::2])


@pytest.mark.parametrize("name", IMAGES)
def test_a_change_of_sign_changes_the_output(name):
    # Footnote 2 says so, and puts a multiplier of -1 beside the layer: folding keeps each layer's signed scale.
    assert min(_rescaling_changes(name, -1.0)) > 0.05
