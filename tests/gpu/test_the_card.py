"""What the driver tells of a card, and a command that is given it alone."""

import os
import re
import subprocess
import sys

import pytest
import torch

from softshare.forecast.bill import write_bill
from softshare.gpus import power_limit, visible_gpus


def test_cards_are_known_by_their_uuids():
    environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    gpus = visible_gpus(environment)
    assert len(gpus) >= torch.cuda.device_count()
    assert all(re.match(r"GPU-[0-9a-f]{8}-|MIG-", gpu.name) for gpu in gpus)
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "0"})[0].name == gpus[0].name
    assert power_limit(0, environment) is None or 10 < power_limit(0, environment) < 5000


def test_a_command_is_given_one_card_and_computes_on_it(tmp_path):
    code = "import torch; print(torch.cuda.device_count(), float(torch.ones(3, device='cuda').sum()))"
    command = [sys.executable, "-m", "softshare.gpus", "1", "--", sys.executable, "-c", code]
    run = subprocess.run(
        command, env=os.environ | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True, timeout=120
    )
    assert (run.returncode, run.stdout.strip()) == (0, "1 3.0"), run.stderr


@pytest.mark.slow
def test_a_forecast_measures_the_card(tmp_path):
    import argparse

    from softshare.cli import forecast

    parser = argparse.ArgumentParser()
    forecast.add_commands(parser.add_subparsers())
    words = ["forecast", "--scale", "paper", "--experiments", "figure5", "--device", "cuda", "--seconds", "5"]
    bill = write_bill(parser.parse_args([*words, "--results", str(tmp_path)]))
    assert torch.cuda.get_device_name() in bill
