"""What folding costs: inference of the folded network, finding the loops, the size of its file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn

from softshare.bench.inference import inference_step
from softshare.bench.measure import Measured, alternate_fairly, median, paired_ratios, timed
from softshare.bench.steps import model_and_batch
from softshare.models import create_model
from softshare.models.folded import save_folded
from softshare.sharing import banks, cluster_layers, find_loops, fold, layer_similarity
from softshare.training.device import resolve_precision


def bench_folded_inference(name: str, rounds: int) -> Iterator[Measured]:
    """Times a folded network's forward in eval against that of the network it was made from."""
    model_name, batch = model_and_batch(name)
    make: dict[str, Callable[[], Callable[[], None]]] = {
        "unfolded": lambda: inference_step(_alike_in_twos(model_name), batch),
        "folded": lambda: inference_step(fold(_alike_in_twos(model_name), 0.9), batch),
    }
    seconds = alternate_fairly(make, rounds, at_least_seconds=15)
    precision = resolve_precision("auto", torch.device("cpu"))
    yield median(name, paired_ratios(seconds["folded"], seconds["unfolded"]), f"ratio ({precision})")


def bench_finding(name: str, rounds: int) -> Iterator[Measured]:
    """Times clusters and loops of a group of ten layers, from its similarity matrix on."""
    matrix = layer_similarity(_alike_in_twos("swrn-40-1-8"))["stage2"].numpy()
    seconds = timed(lambda: find_loops(cluster_layers(matrix, 0.8)), max(rounds, 50))
    yield median(f"{name}.milliseconds", [1000 * each for each in seconds], "ms")


def bench_file(name: str, rounds: int) -> Iterator[Measured]:
    """Size of a folded network's file over 4 bytes a distinct parameter; norms' statistics and names come on top."""
    folded = fold(_alike_in_twos("swrn-28-10-4"), 0.9)
    parameters = sum(parameter.numel() for parameter in folded.parameters())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "folded.safetensors"
        save_folded(folded, file, "swrn-28-10-4")
        yield Measured(name, file.stat().st_size / (4 * parameters))


def _alike_in_twos(model_name: str) -> nn.Module:
    """A network whose groups run (a b) several times, each layer with a scale of its own."""
    torch.manual_seed(0)
    model = create_model(model_name).eval()
    with torch.no_grad():
        for bank in banks(model).values():
            rows = torch.randn(2, bank.num_templates).repeat(bank.num_layers // 2, 1)
            bank.coefficients.copy_(rows * (0.5 + torch.rand(bank.num_layers, 1)))
    return model
