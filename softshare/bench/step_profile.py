"""Where the time of a training step goes, and what share of the machine's own peak it computes at."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from tabulate import tabulate
from torch.profiler import ProfilerActivity, profile, record_function

from softshare.bench.measure import alternate
from softshare.bench.peak import SIDE, count_flops, matrix_product
from softshare.bench.steps import training_step
from softshare.bench.synthesis_watch import watched_synthesis
from softshare.errors import UserError
from softshare.files import require_writable, write_text, written_whole
from softshare.names import require_fit
from softshare.training.device import describe_device, keep_freed_memory, resolve_precision

# The first that an operation's name matches; what none matches is "other".
_KINDS = (
    ("synthesis", r"Synthesis"),
    ("optimiser", r"^Optimizer|_fused_sgd|_fused_adam"),
    ("convolution", r"convolution|mkldnn_conv|conv2d"),
    ("batch norm, activation", r"NormRelu"),
    ("batch norm", r"batch_norm"),
    ("activation, addition, pooling", r"relu|threshold|aten::add_?$|pool|aten::mean"),
    ("casts and copies", r"copy_|aten::to$|_to_copy|contiguous|clone|zero_|fill_"),
    ("matrix products", r"aten::(add)?mm|linear|matmul"),
    ("loss", r"softmax|nll_loss|cross_entropy"),
)
_STEPS = 5
_LARGEST_BATCH = 65_536


@dataclass(frozen=True)
class StepProfile:
    """A training step, taken apart.

    Attributes:
        model: The network's name.
        batch: Images a step.
        precision: fp32 or bf16.
        seconds: A step, undisturbed by the profiler; median.
        flops: Floating-point operations of a step's matrix products and convolutions; a multiply-add counts as two.
        peak: Operations a second of a matrix product of side 2048 in this precision, measured in turn with the step.
        shares: Of the time of all operations, by kind; largest first.
    """

    model: str
    batch: int
    precision: str
    seconds: float
    flops: int
    peak: float
    shares: dict[str, float]

    @property
    def of_peak(self) -> float:
        """What the step computes a second, over the peak."""
        return self.flops / self.seconds / self.peak


def profile_step(model: str, batch: int, out: Path, rounds: int = 7) -> StepProfile:
    """Measures a step and writes a Chrome trace and a page on it.

    Args:
        model: Name of the network, plain or shared.
        batch: Images a step.
        out: Folder: `profile-<model>-batch<N>.json`, for chrome://tracing or ui.perfetto.dev, and the same as `.md`.
        rounds: Times that step and matrix product are timed.

    Raises:
        UserError: No network for CIFAR's images, a batch that no step has, or the folder cannot be written.
    """
    require_fit(model, "cifar10")
    if not 2 <= batch <= _LARGEST_BATCH:
        raise UserError(f"must be from 2 to {_LARGEST_BATCH:,}", key="batch", value=batch)
    require_writable(out)
    keep_freed_memory()
    device = torch.device("cpu")
    precision = resolve_precision("auto", device)
    step = training_step(model, batch)
    flops = count_flops(step)
    functions: dict[str, Callable[[], object]] = {"step": step, "product": matrix_product(SIDE, precision, device)}
    seconds = alternate(functions, rounds)
    trace = out / f"profile-{model}-batch{batch}.json"
    times: dict[str, float] = defaultdict(float)
    for _ in range(_STEPS):
        profiler = _profiled(step)
        for event in profiler.key_averages():
            times[event.key] += event.self_cpu_time_total
    with written_whole(trace) as temporary:
        profiler.export_chrome_trace(str(temporary))
    found = StepProfile(
        model,
        batch,
        precision,
        statistics.median(seconds["step"]),
        flops,
        2 * SIDE**3 / statistics.median(seconds["product"]),
        shares_of(times),
    )
    write_text(trace.with_suffix(".md"), describe_profile(found) + "\n")
    return found


def _profiled(step: Callable[[], object]) -> profile:
    # One step a profile, after one that is none: what the profiler keeps of each operation lies between the tensors
    # that are freed, and those of a next step would have to take fresh memory, whose first touch is dear.
    step()
    as_one = partial(record_function, "Synthesis")
    with profile(activities=[ProfilerActivity.CPU]) as profiler, watched_synthesis(as_one):
        step()
    return profiler


def shares_of(times: dict[str, float]) -> dict[str, float]:
    """Shares of the whole time by kind of operation, largest first.

    Args:
        times: Time of each operation itself, without what it calls, by the profiler's name of it.
    """
    sums: dict[str, float] = defaultdict(float)
    for name, time in times.items():
        sums[next((kind for kind, pattern in _KINDS if re.search(pattern, name)), "other")] += time
    whole = sum(sums.values())
    return {kind: time / whole for kind, time in sorted(sums.items(), key=lambda item: -item[1])} if whole else {}


def describe_profile(found: StepProfile) -> str:
    """A page in Markdown."""
    rows = [
        [kind, f"{100 * share:.1f} %", f"{1000 * share * found.seconds:.1f}"] for kind, share in found.shares.items()
    ]
    where = f"{describe_device(torch.device('cpu'))}, {torch.get_num_threads()} threads"
    product = f"a matrix product of side {SIDE} in {found.precision}"
    table = tabulate(rows, headers=["operations", "share", "ms a step"], tablefmt="github")
    return "\n".join(
        [
            f"# A training step of {found.model}, batch {found.batch}, {found.precision}",
            "",
            f"{where}. {1000 * found.seconds:.1f} ms a step, {found.flops / 1e9:.1f} GFLOP:",
            f"{100 * found.of_peak:.0f} % of the {found.peak / 1e9:.0f} GFLOP/s of {product}, measured in turn.",
            "",
            table,
            "",
            "Shares are of the time inside operations, as the profiler has it, without what they call;",
            "forward and backward together.",
        ]
    )
