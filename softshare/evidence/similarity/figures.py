"""Layer similarity matrices as pictures: white = 1, black = 0, as in Figures 7 and 8 of the paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from softshare.errors import UserError
from softshare.evidence.figures.drawing import EDGE, axis, broken, line_height, write
from softshare.evidence.runs.gather import CellEvidence
from softshare.evidence.runs.runfolder import Record
from softshare.evidence.similarity.reading import Group, Similarity, read_similarity
from softshare.evidence.wording import by_reason, in_words
from softshare.recipes import stored_epoch
from softshare.runfiles import SIMILARITY

# Inches.
_PANEL, _GAP = 1.25, 0.25
_LEFT, _RIGHT = 0.8, 0.8
_HEADLINE, _TITLE, _LINE = 0.5, 0.55, 0.4
_HEADING, _INSTEAD = 7, 8  # points

_KINDS = {
    "coefficients": "similarity of coefficients",
    "weights": "similarity of effective weights (chance: of the coefficients)",
}


@dataclass(frozen=True)
class Block:
    """Panels, a row a group and a column an epoch or a seed; or a line that says why there are none.

    Of one seed at one epoch the groups stand beside each other, in one row.

    Attributes:
        title: What is shown.
        columns: Headings, such as `epoch 25` or `seed 3`.
        labels: Of the rows: groups and their chance levels.
        matrices: For each row, of each column [layers, layers].
        instead: Why there are no panels.
    """

    title: str
    columns: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    matrices: tuple[Sequence[np.ndarray], ...] = ()
    instead: str = ""


def similarity_blocks(evidence: CellEvidence, results: Path, shown_at: Sequence[float] = ()) -> Iterator[Block]:
    """What there is to show of a cell: of the coefficients, then of the weights they make.

    Args:
        evidence: The cell and its runs.
        results: `results/<scale>`.
        shown_at: Fractions of all epochs; none = all that are stored. Where it is one alone, the runs of all seeds
            stand beside each other; otherwise each run has blocks of its own, a column an epoch.
    """
    cell = evidence.cell
    asked = f"{cell.row}, {cell.paper.dataset}"
    if not evidence.records:
        yield Block(asked, instead="not run at this scale")
    elif len(shown_at) == 1:
        yield from _by_seed(evidence, results, shown_at)
    else:
        for record in evidence.records:
            title = _title(evidence, str(record.run))
            similarity, instead = stored_similarity(record, results)
            if similarity is None:
                yield Block(title, instead=instead)
                continue
            places = epochs_shown(similarity, shown_at)
            columns = tuple(f"epoch {similarity.epochs[place]}" for place in places)
            several = "".join(f"; {each}" for each in standing_for_several(similarity, shown_at))
            for kind, words in _KINDS.items():
                matrices = tuple(getattr(group, kind)[places] for group in similarity.groups)
                yield Block(f"{title}\n{words}{several}", columns, _labels(similarity.groups), matrices)


def similarity_rows(evidence: CellEvidence, results: Path, shown_at: Sequence[float] = ()) -> Iterator[dict]:
    """The matrices as plain rows, the upper triangle of each: at every stored epoch, or at the one epoch shown."""
    for record in evidence.records:
        similarity, _ = stored_similarity(record, results)
        if similarity is None:
            continue
        places = epochs_shown(similarity, shown_at if len(shown_at) == 1 else ())
        for group in similarity.groups:
            upper = list(zip(*np.triu_indices(group.weights.shape[1], 1), strict=True))
            for place in places:
                for kind in _KINDS:
                    matrix = getattr(group, kind)[place]
                    for layer, other in upper:
                        yield {
                            "row": evidence.cell.row,
                            "run": str(record.run),
                            "group": group.name,
                            "of": kind,
                            "epoch": similarity.epochs[place],
                            "layer": layer + 1,
                            "other": other + 1,
                            "similarity": round(float(matrix[layer, other]), 6),
                            "chance_mean": round(group.chance[0], 6),
                            "chance_max": round(group.chance[1], 6),
                        }


def epochs_shown(similarity: Similarity, shown_at: Sequence[float]) -> list[int]:
    """Places of the stored epochs that are nearest to fractions of all epochs; every place where none are asked for."""
    stored = similarity.epochs
    if not shown_at:
        return list(range(len(stored)))
    return sorted({_place_of(fraction, stored) for fraction in shown_at})


def standing_for_several(similarity: Similarity, shown_at: Sequence[float]) -> list[str]:
    """Where a short training, or few stored epochs, leave one panel for several fractions: what it stands for."""
    fractions: dict[int, list[str]] = {}
    for fraction in sorted(set(shown_at)):
        fractions.setdefault(_place_of(fraction, similarity.epochs), []).append(f"{100 * fraction:g}")
    return [
        f"epoch {similarity.epochs[place]} stands for {in_words(each)} % of the training"
        for place, each in fractions.items()
        if len(each) > 1
    ]


def stored_similarity(record: Record, results: Path) -> tuple[Similarity | None, str]:
    """What a run stored; or None, and why."""
    if not record.complete:
        return None, record.reason
    folder = results / record.folder
    try:
        similarity = read_similarity(folder / SIMILARITY)
    except UserError as error:
        # Without the folder: the same runs give the same figure wherever they lie.
        return None, str(error).replace(f"{folder}/", "")
    return (similarity, "") if similarity.groups else (None, "nothing stored: the network shares nothing")


def draw_similarity(title: str, blocks: Sequence[Block]) -> Figure:
    """Blocks, one below the other."""
    columns = max((len(block.columns) for block in blocks), default=0)
    width = max(6.0, _LEFT + columns * (_PANEL + _GAP) + _RIGHT)
    laid = [_Laid(block, width) for block in blocks]
    height = _HEADLINE + sum(each.height for each in laid)
    figure = Figure(figsize=(width, height))
    write(figure, width / 2, height - _HEADLINE / 2, title, 9)
    top = height - _HEADLINE
    for each in laid:
        write(figure, width / 2, top - (each.title_height - _GAP) / 2, "\n".join(each.title), _HEADING)
        below = top - each.title_height
        if each.block.matrices:
            _draw_panels(figure, each.block, below)
        else:
            middle = below - (each.body_height - _LINE) / 2
            write(figure, width / 2, middle, "\n".join(each.instead), _INSTEAD)
        top -= each.title_height + each.body_height
    return figure


class _Laid:
    """A block in a figure of some width: its texts in lines, and what they take of the height, in inches."""

    def __init__(self, block: Block, width: float) -> None:
        self.block = block
        self.title = broken(block.title, _HEADING, width - 2 * EDGE)
        self.instead = broken(block.instead, _INSTEAD, width - 2 * EDGE)
        # There is room for two lines of a title, and for one that says why there are no panels.
        self.title_height = _TITLE + max(0, len(self.title) - 2) * line_height(_HEADING)
        self.body_height = _LINE + (len(self.instead) - 1) * line_height(_INSTEAD)
        if block.matrices:
            self.body_height = len(block.matrices) * (_PANEL + _GAP)

    @property
    def height(self) -> float:
        return self.title_height + self.body_height


def _place_of(fraction: float, stored: Sequence[int]) -> int:
    """The place of the stored epoch that is nearest to a fraction of all epochs."""
    wanted = stored_epoch(fraction, stored[-1])
    return min(range(len(stored)), key=lambda place: abs(stored[place] - wanted))


def _by_seed(evidence: CellEvidence, results: Path, shown_at: Sequence[float]) -> Iterator[Block]:
    title = _title(evidence, str(evidence.cell.run))
    stored: dict[int, Similarity] = {}
    left_out: list[tuple[int, str]] = []
    for record in evidence.records:
        similarity, instead = stored_similarity(record, results)
        if similarity is None:
            left_out.append((record.run.seed, instead))
        else:
            stored[record.run.seed] = similarity
    if not stored:
        yield Block(title, instead="; ".join(by_reason(left_out)))
        return
    if left_out:
        title += f"; left out: {'; '.join(by_reason(left_out))}"
    columns = tuple(f"seed {seed}" for seed in stored)
    groups = next(iter(stored.values())).groups
    for kind, words in _KINDS.items():
        matrices = tuple(
            [getattr(each.groups[index], kind)[epochs_shown(each, shown_at)[0]] for each in stored.values()]
            for index in range(len(groups))
        )
        if len(columns) == 1:
            chance = in_words(dict.fromkeys(f"{mean:.2f} and {most:.2f}" for mean, most in (g.chance for g in groups)))
            names = tuple(group.name for group in groups)
            told = f"{title}\n{words}; mean and max by chance: {chance}"
            yield Block(told, names, columns, ([of_group for (of_group,) in matrices],))
        else:
            yield Block(f"{title}\n{words}", columns, _labels(groups), matrices)


def _title(evidence: CellEvidence, ran: str) -> str:
    cell = evidence.cell
    asked = f"{cell.row}, {cell.paper.dataset}"
    return f"{asked}: {ran}" if cell.run == cell.paper else f"{asked}: {ran} in place of {cell.paper}"


def _labels(groups: Sequence[Group]) -> tuple[str, ...]:
    return tuple(f"{g.name}\nchance: mean {g.chance[0]:.2f},\nmax {g.chance[1]:.2f}" for g in groups)


def _draw_panels(figure: Figure, block: Block, top: float) -> None:
    for row, (label, matrices) in enumerate(zip(block.labels, block.matrices, strict=True)):
        bottom = top - row * (_PANEL + _GAP) - _PANEL
        for column, (heading, matrix) in enumerate(zip(block.columns, matrices, strict=True)):
            panel = axis(figure, _LEFT + column * (_PANEL + _GAP), bottom, _PANEL, _PANEL)
            mesh = panel.pcolormesh(matrix, cmap="gray", vmin=0.0, vmax=1.0, edgecolors="face", linewidth=0.2)
            panel.set(xlim=(0, len(matrix)), ylim=(len(matrix), 0), xticks=[], yticks=[])
            mean = matrix[~np.eye(len(matrix), dtype=bool)].mean()
            panel.set_title(f"{heading}, mean {mean:.2f}", fontsize=7, pad=3)
            if column == 0:
                panel.set_ylabel(label, fontsize=6)
    right = _LEFT + len(block.columns) * (_PANEL + _GAP)
    bar = axis(figure, right, top - _PANEL, 0.12, _PANEL)
    figure.colorbar(mesh, cax=bar).ax.tick_params(labelsize=6)
