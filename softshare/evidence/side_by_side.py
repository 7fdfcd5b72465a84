"""The same runs made twice, on two machines or in two precisions: do they come to the same, and do their curves?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tabulate import tabulate

from softshare.errors import UserError
from softshare.evidence.checks import UnusableError
from softshare.evidence.drawing import axis, drawing_style, save_figure
from softshare.evidence.gather import gather
from softshare.evidence.history import column, read_history
from softshare.evidence.markup import markdown
from softshare.evidence.runfolder import Record, State
from softshare.evidence.shown import signed
from softshare.evidence.statistics import paired
from softshare.files import write_text
from softshare.names import SHORTEST_PATHS
from softshare.plan import Plan
from softshare.scales import Run

_DECIMALS = 3  # of a difference
_COLOURS = ("#1b6ca8", "#c8553d")
_WIDTH, _HEIGHT, _GAP, _COLUMNS = 3.2, 1.8, 0.75, 3


@dataclass(frozen=True, eq=False)
class Twice:
    """A run that both folders hold.

    Attributes:
        run: Which.
        values: What either came to: test error in percent, or mean F1 at the ends of all phases.
        curves: The same of either by epoch.
    """

    run: Run
    values: tuple[float, float]
    curves: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Comparison:
    """The runs of two folders, side by side.

    Attributes:
        runs: Those that both hold complete, of one training on the same data.
        made: How the runs of either were made: device, precision, versions.
        left_out: What is not compared, in words.
    """

    runs: tuple[Twice, ...]
    made: tuple[str, str]
    left_out: tuple[str, ...]


def compare(plan: Plan, first: Path, second: Path) -> Comparison:
    """Finds the runs that are complete in two folders of results.

    Args:
        plan: What was to be run.
        first: Results of its scale, such as `results/compact` or `reports/published/compact`.
        second: Others.

    Raises:
        UserError: They hold no run in common, or one that was trained otherwise or on other data.
    """
    found = [gather(plan, each) for each in (first, second)]
    sides = [{record.run: record for record in each.in_state(State.COMPLETE)} for each in found]
    for each, side in zip((first, second), sides, strict=True):
        if not side:
            raise UserError("holds no complete run of the scale", file=each, remedy="name results of the scale")
    common = [run for run in sides[0] if run in sides[1]]
    if not common:
        raise UserError(f"holds no complete run that {first} holds too", file=second, remedy="name the same scale's")
    for run in common:
        one, other = (side[run] for side in sides)
        if one.settings != other.settings or one.manifest["dataset"] != other.manifest["dataset"]:
            raise UserError("is of another training, or of other data", file=second / other.folder)
    runs = [
        Twice(
            run,
            (_value(sides[0][run]), _value(sides[1][run])),
            (_curve(first, sides[0][run]), _curve(second, sides[1][run])),
        )
        for run in common
    ]
    left_out = tuple(
        f"{len(side) - len(common)} complete in the {name} alone"
        for name, side in zip(("first", "second"), sides, strict=True)
        if len(side) > len(common)
    )
    unusable = [
        f"{record.run} of the {name} cannot be used: {record.reason}"
        for name, each in zip(("first", "second"), found, strict=True)
        for record in each.in_state(State.UNUSABLE)
    ]
    return Comparison(
        tuple(runs),
        (_made(sides[0][run] for run in common), _made(sides[1][run] for run in common)),
        (*left_out, *unusable),
    )


def describe_comparison(found: Comparison) -> str:
    """The comparison in Markdown: every run, and for each network the mean difference with its 95 % interval."""
    rows = []
    for each in found.runs:
        values = [f"{value:.4g}" for value in each.values]
        rows.append([markdown(run_name(each.run)), *values, signed(_difference(each), _DECIMALS)])
    lines = [
        "# The same runs, made twice",
        "",
        *(f"- {name}: {markdown(made)}" for name, made in zip(("first", "second"), found.made, strict=True)),
        "",
        "Mean F1 at the ends of all phases for shortest paths, else test error in percent.",
        "",
        tabulate(rows, headers=["run", "first", "second", "difference"], tablefmt="github", disable_numparse=True),
        "",
    ]
    for name, runs in _by_network(found.runs).items():
        differences = [_difference(each) for each in runs]
        test = paired([each.values[1] for each in runs], [each.values[0] for each in runs])
        between = f"{len(runs)} seed{'s' if len(runs) > 1 else ''}"
        ends = [signed(end, _DECIMALS) for end in test.interval or ()]
        interval = f" (95 % interval {' to '.join(ends)})" if ends else ""
        mean = signed(float(np.mean(differences)), _DECIMALS)
        lines.append(f"- {markdown(name)}: {mean} over {between}{interval}")
    if found.left_out:
        lines += ["", f"Not compared: {markdown('; '.join(found.left_out))}."]
    return "\n".join(lines) + "\n"


def write_comparison(found: Comparison, out: Path) -> list[Path]:
    """Writes `comparison.md`, `.csv`, `.svg`, `.png` and `.pdf` into a folder.

    Raises:
        UserError: It cannot be written.
    """
    table = pd.DataFrame(
        {"run": run_name(each.run), "epoch": epoch + 1, "first": one, "second": other}
        for each in found.runs
        for epoch, (one, other) in enumerate(zip(*each.curves, strict=True))
    )
    write_text(out / "comparison.md", describe_comparison(found))
    write_text(out / "comparison.csv", table.to_csv(index=False, lineterminator="\n"))
    with drawing_style():
        drawn = save_figure(_drawn(found), out / "comparison")
    return [out / "comparison.md", out / "comparison.csv", *drawn]


def run_name(run: Run) -> str:
    """Such as `shortest-paths/cnn-20/paths, seed 0`."""
    return f"{_network(run)}, seed {run.seed}"


def _drawn(found: Comparison) -> Figure:
    networks = _by_network(found.runs)
    columns = min(_COLUMNS, len(networks))
    rows = -(-len(networks) // columns)
    figure = Figure(figsize=(columns * (_WIDTH + _GAP) + 0.3, rows * (_HEIGHT + _GAP) + 0.5))
    for place, (name, runs) in enumerate(networks.items()):
        left = 0.6 + place % columns * (_WIDTH + _GAP)
        bottom = 0.5 + (rows - 1 - place // columns) * (_HEIGHT + _GAP)
        axes = axis(figure, left, bottom, _WIDTH, _HEIGHT)
        for each in runs:
            for curve, colour, side in zip(each.curves, _COLOURS, found.made, strict=True):
                label = side if each is runs[0] else None
                axes.plot(np.arange(1, len(curve) + 1), curve, color=colour, linewidth=0.8, label=label)
        axes.set_title(name, fontsize=8)
        axes.set_xlabel("epoch", fontsize=7)
        axes.set_ylabel("test F1" if runs[0].run.setting.dataset == SHORTEST_PATHS else "test error (%)", fontsize=7)
        axes.tick_params(labelsize=6)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=2, fontsize=6, frameon=False)
    return figure


def _by_network(runs: Sequence[Twice]) -> dict[str, list[Twice]]:
    found: dict[str, list[Twice]] = {}
    for each in runs:
        found.setdefault(_network(each.run), []).append(each)
    return found


def _network(run: Run) -> str:
    return run.folder.parent.as_posix()


def _difference(each: Twice) -> float:
    return each.values[1] - each.values[0]


def _value(record: Record) -> float:
    return float(np.mean(record.metrics["test"]["f1"])) if _on_paths(record) else record.error


def _curve(results: Path, record: Record) -> np.ndarray:
    file = results / record.folder / "history.csv"
    try:
        return np.array(column(read_history(file), "test_f1" if _on_paths(record) else "test_error"))
    except UnusableError as error:  # since the run was found complete
        raise UserError(str(error), file=file) from error


def _on_paths(record: Record) -> bool:
    return record.run.setting.dataset == SHORTEST_PATHS


def _made(records: Iterable[Record]) -> str:
    """Device, precision and torch of some runs; each kind once."""
    kinds = {
        f"{record.manifest['device']}, {record.manifest['precision']}, torch {record.manifest['versions']['torch']}"
        for record in records
    }
    return "; ".join(sorted(kinds))
