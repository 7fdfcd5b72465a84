"""What folding costs: inference of the folded network, finding the loops, the size of its file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from softshare.bench.inference import inference_step
from softshare.bench.measure import Measured, alternate, median, paired_ratios
from softshare.models import create_model
from softshare.models.folded import save_folded
from softshare.sharing import banks, cluster_layers, find_loops, fold, layer_similarity
from softshare.training.device import resolve_precision


def bench_folded_inference(name: str, rounds: int) -> Iterator[Measured]:
    """Times a folded network's forward in eval against that of the network it was made from."""
    _, _, model_name, batch = name.split(".")
    size = int(batch.removeprefix("batch"))
    seconds: dict[str, list[float]] = {"unfolded": [], "folded": []}
    for order in (("unfolded", "folded"), ("folded", "unfolded")):  # so that being made first favours neither
        unfolded = _alike_in_twos(model_name)
        networks: dict[str, nn.Module] = {"unfolded": unfolded, "folded": fold(unfolded, 0.9)}
        steps = {kind: inference_step(networks[kind], size) for kind in order}
        taken = alternate(steps, rounds, at_least_seconds=15)
        for kind in order:
            seconds[kind] += taken[kind]
        del unfolded, networks, steps
    precision = resolve_precision("auto", torch.device("cpu"))
    yield median(name, paired_ratios(seconds["folded"], seconds["unfolded"]), f"ratio ({precision})")


def bench_finding(name: str, rounds: int) -> Iterator[Measured]:
    """Times clusters and loops of a group of ten layers, from its similarity matrix on."""
    matrix = layer_similarity(_alike_in_twos("swrn-40-1-8"))["stage2"].numpy()
    seconds = []
    for _ in range(max(rounds, 50)):
        start = time.perf_counter()
        find_loops(cluster_layers(matrix, 0.8))
        seconds.append(time.perf_counter() - start)
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
