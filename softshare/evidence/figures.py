"""Layer similarity matrices as a picture: white = 1, black = 0, as in Figures 2, 7 and 8 of the paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure, SubFigure

from softshare.errors import UserError
from softshare.evidence.gather import CellEvidence, find_experiment, gather
from softshare.evidence.runfolder import Record
from softshare.evidence.similarity import Similarity, read_similarity
from softshare.files import written_whole
from softshare.plan import Plan

# Neither dates, versions nor random names: the same runs give the same bytes.
_SALT = {"svg.hashsalt": "softshare"}
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}

_PANEL = 1.25  # inches
_MARGIN = 1.9  # inches beside the panels: labels and colour bar
_TITLE = 0.7  # inches above them


@dataclass(frozen=True)
class Block:
    """Panels of one run, a row a group and a column an epoch; or a line that says why there are none."""

    title: str
    epochs: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    matrices: tuple[np.ndarray, ...] = ()
    instead: str = ""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches."""
        if not self.matrices:
            return 6.0, 1.0
        return _MARGIN + _PANEL * len(self.epochs), _TITLE + (_PANEL + 0.25) * len(self.matrices)


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
    files = [out_dir / f"{name}.{ending}" for ending in _METADATA]
    with style.context(["default", _SALT]):
        figure = _draw(f"{experiment.title} (scale: {plan.scale.name})", blocks)
        for file, (ending, metadata) in zip(files, _METADATA.items(), strict=True):
            with written_whole(file) as temporary:
                figure.savefig(temporary, format=ending, metadata=metadata, dpi=150)
    return files


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
    width = max(block.size[0] for block in blocks)
    heights = [block.size[1] for block in blocks]
    figure = Figure(figsize=(max(width, 6.0), sum(heights) + 0.5), layout="constrained")
    figure.suptitle(title, fontsize=9)
    parts = figure.subfigures(len(blocks), 1, height_ratios=heights, squeeze=False)
    for part, block in zip(parts[:, 0], blocks, strict=True):
        _draw_block(part, block)
    return figure


def _draw_block(part: SubFigure, block: Block) -> None:
    part.suptitle(block.title, fontsize=7)
    if not block.matrices:
        part.text(0.5, 0.35, block.instead, ha="center", va="center", fontsize=8)
        return
    axes = part.subplots(len(block.matrices), len(block.epochs), squeeze=False)
    for row, (label, matrices) in enumerate(zip(block.labels, block.matrices, strict=True)):
        for column, (epoch, matrix) in enumerate(zip(block.epochs, matrices, strict=True)):
            axis = axes[row, column]
            layers = len(matrix)
            mesh = axis.pcolormesh(matrix, cmap="gray", vmin=0.0, vmax=1.0, edgecolors="face", linewidth=0.2)
            axis.set(xlim=(0, layers), ylim=(layers, 0), aspect="equal", xticks=[], yticks=[])
            axis.set_title(f"epoch {epoch}", fontsize=7)
        axes[row, 0].set_ylabel(label, fontsize=6)
    part.colorbar(mesh, ax=axes, shrink=0.6).ax.tick_params(labelsize=6)
