"""Layer similarity in numbers: how alike layers became, how many pairs are close to one, and what that leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from softshare.evidence.runs.gather import CellEvidence
from softshare.evidence.runs.runfolder import Record
from softshare.evidence.similarity.figures import epochs_shown, stored_similarity
from softshare.evidence.similarity.reading import Group
from softshare.evidence.wording import number
from softshare.names import SHORTEST_PATHS
from softshare.sharing.clusters import cluster_layers

CLOSE_TO_ONE = 0.9  # as the claims take it
FOLDED_AT = 0.8  # "similarity close to 0.8": what the paper ties (section 4.3)


def shown_similarity(
    cells: Sequence[CellEvidence], results: Path, shown_at: Sequence[float] = ()
) -> list[dict[str, str]]:
    """The matrices of a figure in numbers, a row a run, epoch and group, for a reader.

    Args:
        cells: Rows of the figure and their runs.
        results: `results/<scale>`.
        shown_at: Fractions of all epochs; none = all that are stored.
    """
    return [row for cell in cells for record in cell.records for row in _rows(cell.cell.row, record, results, shown_at)]


def _rows(label: str, record: Record, results: Path, shown_at: Sequence[float]) -> Iterator[dict[str, str]]:
    similarity, _ = stored_similarity(record, results)
    if similarity is None:
        return
    on_images = record.run.setting.dataset != SHORTEST_PATHS
    for place in epochs_shown(similarity, shown_at):
        epoch = similarity.epochs[place]
        error = f"{record.error:.2f}" if on_images and epoch == similarity.epochs[-1] else ""
        for group in similarity.groups:
            yield {
                "Row": label,
                "Run": str(record.run),
                "Epoch": str(epoch),
                "Group": group.name,
                **_described(group, place),
                **({"Test error (%)": error} if on_images else {}),
            }


def _described(group: Group, place: int) -> dict[str, str]:
    matrix = group.coefficients[place]
    pairs = matrix[np.triu_indices(len(matrix), k=1)]
    mean, largest = group.chance
    return {
        "Mean": number(float(pairs.mean())),
        "Largest": number(float(pairs.max())),
        "By chance": f"{number(mean)}, {number(largest)}",
        f"Pairs from {CLOSE_TO_ONE:g}": f"{int((pairs >= CLOSE_TO_ONE).sum())} of {len(pairs)}",
        f"Layers at {FOLDED_AT:g}": f"{len(set(cluster_layers(matrix, FOLDED_AT)))} of {len(matrix)}",
    }
