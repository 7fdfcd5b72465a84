"""Two folders of the same runs side by side, as a page, a table of their curves and a figure."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from tabulate import tabulate

from softshare.evidence.comparison.side_by_side import PRECISION, SIDES, Comparison, Spread, Twice, how_made
from softshare.evidence.figures.drawing import axis, drawing_style, save_figure
from softshare.evidence.markup import markdown
from softshare.evidence.runs.runfolder import Record
from softshare.evidence.statistics import paired
from softshare.evidence.wording import number, signed
from softshare.files import write_text
from softshare.names import SHORTEST_PATHS
from softshare.runfiles import MANIFEST
from softshare.scales import Run

_DECIMALS = 3  # of a difference
_COLOURS = ("#1b6ca8", "#c8553d")  # of the sides
_STYLES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")  # of seeds
_WIDTH, _HEIGHT, _GAP, _COLUMNS = 3.2, 1.8, 0.75, 3
_TOLD = ("device", PRECISION, "threads", "torch", "commit")  # of every run; what else it tells, where runs differ in it

_RULE = """\
Seeds' spread: two runs of a network that differ in nothing but the seed lie apart by at most √2 times t times sd in 95
of 100, where sd is that of the network's complete seeds in the second folder, three or more of one kind, and t
Student's 0.975 quantile with one degree fewer than seeds. A pair is within that or beyond it. This takes a pair's
difference for as noisy as that of two seeds, though a pair has its first weights and the order of its data in common.
Within it a pair parts no further than another seed would; that is no proof that it does not part."""


def describe_comparison(found: Comparison, page: Path | None = None) -> str:
    """The comparison in Markdown: every run, each network's mean difference, and how every run was made.

    Args:
        found: What is compared.
        page: The folder that it will lie in; manifests below it, or beside it, are linked. None = no links.
    """
    lines = [
        "# The same runs, made twice",
        "",
        "Mean F1 at the ends of all phases for shortest paths, else test error in percent; the second less the first.",
        "",
        _pairs(found),
        "",
        _RULE,
        "",
        *_networks(found),
        *_count(found),
        "",
        "## How they were made",
        "",
        _making(found, page),
        "",
        *_circumstances(found),
    ]
    if found.left_out:
        lines += ["", "Not compared:", "", *(f"- {markdown(each)}" for each in found.left_out)]
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
    write_text(out / "comparison.md", describe_comparison(found, out))
    write_text(out / "comparison.csv", table.to_csv(index=False, lineterminator="\n"))
    with drawing_style():
        drawn = save_figure(_drawn(found), out / "comparison")
    return [out / "comparison.md", out / "comparison.csv", *drawn]


def run_name(run: Run) -> str:
    """Such as `shortest-paths/cnn-20/paths, seed 0`."""
    return f"{run.setting}, seed {run.seed}"


def _pairs(found: Comparison) -> str:
    rows = []
    for each in found.runs:
        values = [f"{value:.4g}" for value in each.values]
        against = _judged(found.spreads[each.run.setting], each.difference)
        rows.append([markdown(run_name(each.run)), *values, signed(each.difference, _DECIMALS), against])
    return _pipe(rows, ["run", *SIDES, "difference", "seeds' spread"])


def _judged(spread: Spread, difference: float) -> str:
    if spread.most is None:
        return "no spread known"
    return f"{'within' if spread.holds(difference) else 'beyond'} {number(spread.most, _DECIMALS)}"


def _networks(found: Comparison) -> list[str]:
    lines = []
    for setting, runs in found.by_network.items():
        differences = [each.difference for each in runs]
        test = paired([each.values[1] for each in runs], [each.values[0] for each in runs])
        between = f"{len(runs)} seed{'s' if len(runs) > 1 else ''}"
        ends = [signed(end, _DECIMALS) for end in test.interval or ()]
        interval = f" (95 % interval {' to '.join(ends)})" if ends else ""
        mean = signed(float(np.mean(differences)), _DECIMALS)
        spread = found.spreads[setting]
        known = spread.unknown if spread.most is None else f"{number(spread.most, _DECIMALS)} ({spread.seeds} seeds)"
        lines.append(f"- {markdown(str(setting))}: {mean} over {between}{interval}; seeds' spread: {markdown(known)}")
    return lines


def _count(found: Comparison) -> list[str]:
    judged = [found.spreads[each.run.setting].holds(each.difference) for each in found.runs]
    known = [within for within in judged if within is not None]
    if not known:
        return []
    beyond = f"{known.count(False)} of {len(known)} pairs beyond the seeds' spread"
    return ["", f"{beyond}; of pairs that differ in the seed alone it is one in twenty."]


def _making(found: Comparison, page: Path | None) -> str:
    made = [how_made(record) for each in found.runs for record in each.records]
    told = [name for name in made[0] if name in _TOLD or len({each[name] for each in made}) > 1]
    rows = []
    for each in found.runs:
        for side, folder, record in zip(SIDES, found.folders, each.records, strict=True):
            link = None if page is None else _link(folder, record, page)
            facts = how_made(record)
            rows.append(
                [
                    markdown(run_name(each.run)),
                    f"[{side}]({link})" if link else side,
                    *(markdown(facts[name]) for name in told),
                ]
            )
    return _pipe(rows, ["run", "made", *told])


def _link(folder: Path, record: Record, page: Path) -> str | None:
    """A run's manifest, from the page; None where the two would not be moved or published together."""
    relative = Path(os.path.relpath(folder / record.folder / MANIFEST, page))
    return None if relative.parts[:2] == ("..", "..") else quote(relative.as_posix())


def _circumstances(found: Comparison) -> list[str]:
    """What pairs differ in besides precision; a line for all of them, or for those that differ alike."""
    alike: dict[str, list[Twice]] = {}
    for each in found.runs:
        told = [f"{name} ({one} in the first, {other} in the second)" for name, (one, other) in each.apart.items()]
        alike.setdefault(", ".join(told), []).append(each)
    if not any(alike):
        names = [name for name in how_made(found.runs[0].records[0]) if name != PRECISION]
        return [f"Besides precision, the two of a pair differ in none of these: {', '.join(names)}."]
    lines = ["Besides precision, the two of a pair differ, or may where it is not known, in:", ""]
    for facts, pairs in alike.items():
        which = "every pair" if len(alike) == 1 else "; ".join(run_name(each.run) for each in pairs)
        lines.append(f"- {markdown(which)}: {markdown(facts) or 'nothing'}")
    return lines


def _pipe(rows: list[list[str]], headers: list[str]) -> str:
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def _drawn(found: Comparison) -> Figure:
    networks = found.by_network
    columns = min(_COLUMNS, len(networks))
    rows = -(-len(networks) // columns)
    figure = Figure(figsize=(columns * (_WIDTH + _GAP) + 0.3, rows * (_HEIGHT + _GAP) + 0.5))
    labels = [_label(found, side) for side in range(len(SIDES))]
    styles = dict(zip(sorted({each.run.seed for each in found.runs}), itertools.cycle(_STYLES), strict=False))
    for place, (setting, runs) in enumerate(networks.items()):
        left = 0.6 + place % columns * (_WIDTH + _GAP)
        bottom = 0.5 + (rows - 1 - place // columns) * (_HEIGHT + _GAP)
        axes = axis(figure, left, bottom, _WIDTH, _HEIGHT)
        for each in runs:
            style = styles[each.run.seed]
            for curve, colour, label in zip(each.curves, _COLOURS, labels, strict=True):
                named = label if each is runs[0] else None
                axes.plot(np.arange(1, len(curve) + 1), curve, style, color=colour, linewidth=0.8, label=named)
        axes.set_title(str(setting), fontsize=8)
        axes.set_xlabel("epoch", fontsize=7)
        axes.set_ylabel("test F1" if setting.dataset == SHORTEST_PATHS else "test error (%)", fontsize=7)
        axes.tick_params(labelsize=6)
        if len(styles) > 1:
            seeds = sorted(each.run.seed for each in runs)
            lines = [Line2D([], [], color="black", ls=styles[seed], lw=0.8, label=f"seed {seed}") for seed in seeds]
            axes.legend(handles=lines, fontsize=5, loc="best", frameon=False)
    handles, texts = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="upper center", ncols=2, fontsize=6, frameon=False)
    return figure


def _label(found: Comparison, side: int) -> str:
    """Such as `first: NVIDIA H200, fp32`: what all runs of a side have in common of device and precision."""
    made = [how_made(each.records[side]) for each in found.runs]
    alike = [made[0][name] for name in ("device", PRECISION) if len({each[name] for each in made}) == 1]
    return f"{SIDES[side]}: {', '.join(alike)}" if alike else SIDES[side]
