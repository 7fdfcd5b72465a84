"""Layer similarity matrices as a picture: white = 1, black = 0, as in Figures 2, 7 and 8 of the paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from softshare.errors import UserError
from softshare.evidence.drawing import axis, drawing_style, save_figure, write
from softshare.evidence.gather import CellEvidence, find_experiment, gather
from softshare.evidence.runfolder import Record
from softshare.evidence.similarity import Similarity, read_similarity
from softshare.plan import Plan

# Inches.
_PANEL, _GAP = 1.25, 0.25
_LEFT, _RIGHT = 0.8, 0.8
_HEADLINE, _TITLE, _LINE = 0.5, 0.55, 0.4


@dataclass(frozen=True)
class Block:
    """Panels of one run, a row a group and a column an epoch; or a line that says why there are none."""

    title: str
    epochs: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    matrices: tuple[np.ndarray, ...] = ()
    instead: str = ""

    @property
    def height(self) -> float:
        """In inches."""
        return _TITLE + (len(self.matrices) * (_PANEL + _GAP) if self.matrices else _LINE)


def write_similarity_figure(
    plan: Plan, name: str, results: Path, out_dir: Path, root: Path | None = None
) -> list[Path]:
    """Writes `<name>.svg`, `<name>.png` and `<name>.pdf` from the run folders that are there.

    Args:
        plan: What was to be run.
        name: An experiment of kind `similarity`.
        results: `results/<scale>`.
        out_dir: Where to write.
        root: Folder that holds `config/`; the project's by default.

    Returns:
        The files written.

    Raises:
        UserError: No such figure, or it cannot be written.
    """
    experiment = find_experiment(plan, name, "similarity")
    cells = gather(plan, results, root).cells[name]
    blocks = [block for cell in cells for block in similarity_blocks(cell, results)]
    with drawing_style():
        return save_figure(_draw(f"{experiment.title} (scale: {plan.scale.name})", blocks), out_dir / name)


def similarity_blocks(evidence: CellEvidence, results: Path) -> Iterator[Block]:
    """What there is to show of a cell: two blocks a run, of its coefficients and of the weights they make."""
    cell = evidence.cell
    asked = f"{cell.row}, {cell.paper.dataset}"
    if not evidence.records:
        yield Block(asked, instead="not run at this scale")
    for record in evidence.records:
        ran = str(record.run)
        title = f"{asked}: {ran}" if cell.run == cell.paper else f"{asked}: {ran} in place of {cell.paper}"
        similarity, instead = _stored(record, results)
        if similarity is None:
            yield Block(title, instead=instead)
            continue
        groups = similarity.groups
        yield Block(
            f"{title}\nsimilarity of coefficients",
            similarity.epochs,
            tuple(f"{g.name}\nchance: mean {g.chance[0]:.2f},\nmax {g.chance[1]:.2f}" for g in groups),
            tuple(g.coefficients for g in groups),
        )
        yield Block(
            f"{title}\nsimilarity of effective weights (chance: of the coefficients)",
            similarity.epochs,
            tuple(f"{g.name}\nchance: mean {g.chance[0]:.2f},\nmax {g.chance[1]:.2f}" for g in groups),
            tuple(g.weights for g in groups),
        )


def _stored(record: Record, results: Path) -> tuple[Similarity | None, str]:
    if not record.complete:
        return None, record.reason
    folder = results / record.folder
    try:
        similarity = read_similarity(folder / "similarity.npz")
    except UserError as error:
        # Without the folder: the same runs give the same figure wherever they lie.
        return None, str(error).replace(f"{folder}/", "")
    return (similarity, "") if similarity.groups else (None, "nothing stored: the network shares nothing")


def _draw(title: str, blocks: list[Block]) -> Figure:
    columns = max(len(block.epochs) for block in blocks)
    width = max(6.0, _LEFT + columns * (_PANEL + _GAP) + _RIGHT)
    height = _HEADLINE + sum(block.height for block in blocks)
    figure = Figure(figsize=(width, height))
    write(figure, width / 2, height - _HEADLINE / 2, title, 9)
    top = height - _HEADLINE
    for block in blocks:
        write(figure, width / 2, top - (_TITLE - _GAP) / 2, block.title, 7)
        if block.matrices:
            _draw_panels(figure, block, top - _TITLE)
        else:
            write(figure, width / 2, top - _TITLE, block.instead, 8)
        top -= block.height
    return figure


def _draw_panels(figure: Figure, block: Block, top: float) -> None:
    for row, (label, matrices) in enumerate(zip(block.labels, block.matrices, strict=True)):
        bottom = top - row * (_PANEL + _GAP) - _PANEL
        for column, (epoch, matrix) in enumerate(zip(block.epochs, matrices, strict=True)):
            panel = axis(figure, _LEFT + column * (_PANEL + _GAP), bottom, _PANEL, _PANEL)
            mesh = panel.pcolormesh(matrix, cmap="gray", vmin=0.0, vmax=1.0, edgecolors="face", linewidth=0.2)
            panel.set(xlim=(0, len(matrix)), ylim=(len(matrix), 0), xticks=[], yticks=[])
            panel.set_title(f"epoch {epoch}", fontsize=7, pad=3)
            if column == 0:
                panel.set_ylabel(label, fontsize=6)
    right = _LEFT + len(block.epochs) * (_PANEL + _GAP)
    bar = axis(figure, right, top - _PANEL, 0.12, _PANEL)
    figure.colorbar(mesh, cax=bar).ax.tick_params(labelsize=6)
