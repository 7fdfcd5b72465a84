"""What tests of sharing reckon by themselves."""

import math

import pytest


@pytest.fixture
def saved_by():
    """Reckons the parameters that a bank saves against a weight per layer; negative by L * L where k = L."""

    def saved(bank):
        layers, templates = bank.num_layers, bank.num_templates
        return (layers - templates) * math.prod(bank.weight_shape) - layers * templates

    return saved
