"""Shortest paths on whole batches of grids: a row of cells is one number, so a step of the search is shifts and ors.

A grid is `side` rows of 32 bits, uint32 [N, side]; the cell in row y and column x is bit x of row y. Every set of
cells (free cells, a front of the search, the points of a path) has this form.
"""

from __future__ import annotations

import numpy as np

MAX_SIDE = 32


def pack(cells: np.ndarray) -> np.ndarray:
    """Sets of cells, bool [N, side, side], as bits: uint32 [N, side]."""
    count, side, _ = cells.shape
    padded = np.zeros((count, side, MAX_SIDE), bool)
    padded[..., :side] = cells
    rows = np.packbits(padded, axis=-1, bitorder="little").view("<u4")  # [N, side, 1]
    return rows[..., 0].astype(np.uint32)


def unpack(rows: np.ndarray) -> np.ndarray:
    """The inverse of `pack`: uint8 [N, side, side] of 0 and 1."""
    octets = rows.astype("<u4")[..., None].view(np.uint8)  # [N, side, 4]
    return np.unpackbits(octets, axis=-1, count=rows.shape[1], bitorder="little")


def single_cells(indices: np.ndarray, side: int) -> np.ndarray:
    """One cell a grid, by its index y * side + x [N], as bits: uint32 [N, side]."""
    rows = np.zeros((len(indices), side), np.uint32)
    rows[np.arange(len(indices)), indices // side] = np.left_shift(np.uint32(1), (indices % side).astype(np.uint32))
    return rows


def shortest_path_points(
    free: np.ndarray, start: np.ndarray, goal: np.ndarray, paths: str = "all"
) -> tuple[np.ndarray, np.ndarray]:
    """Marks the points on shortest paths between two cells of each grid; moves go to the 4 neighbours that are free.

    Args:
        free: The cells that are no obstacles, bits [N, side].
        start: One free cell a grid, bits [N, side].
        goal: One free cell a grid, bits [N, side].
        paths: `all`: the union of all shortest paths. `one`: of these the path that takes, from `start` on, at each
            step the first of down, right, left, up that stays on a shortest path.

    Returns:
        The points, both ends among them, bits [N, side], none where the goal cannot be reached; and whether it
        can, bool [N].
    """
    levels = _search(free, start, goal)
    # Backwards from the goal: a cell of level i lies on a shortest path if it is the goal or beside such a cell of
    # level i + 1, which is d(start, cell) + d(cell, goal) = d(start, goal).
    kept = [np.zeros_like(goal)]
    for level in reversed(levels):
        kept.append(level & (_with_neighbours(kept[-1]) | goal))
    kept.reverse()  # now kept[i] belongs to levels[i]; the last is empty
    points = np.bitwise_or.reduce(kept) if paths == "all" else _first_path(kept)
    return points, (points & goal).any(axis=1)


def _search(free: np.ndarray, start: np.ndarray, goal: np.ndarray) -> list[np.ndarray]:
    """Cells by their distance from the start, until all goals are found or nothing new is."""
    levels = [start & free]
    unseen = free & ~start
    while (unseen & goal).any():
        front = _with_neighbours(levels[-1]) & unseen
        if not front.any():
            break
        levels.append(front)
        unseen ^= front
    return levels


def _first_path(kept: list[np.ndarray]) -> np.ndarray:
    """Of all shortest paths, by distance from the start, the first in the order down, right, left, up."""
    cell = kept[0]
    path = cell.copy()
    for following in kept[1:]:
        moves = (_down(cell), cell << 1, cell >> 1, _up(cell))
        cell = np.zeros_like(cell)
        for move in moves:
            undecided = ~cell.any(axis=1)
            cell |= move & following & np.where(undecided, np.uint32(0xFFFFFFFF), np.uint32(0))[:, None]
        path |= cell
    return path


def _with_neighbours(cells: np.ndarray) -> np.ndarray:
    spread = cells << 1
    spread |= cells >> 1
    spread |= cells
    spread[:, 1:] |= cells[:, :-1]
    spread[:, :-1] |= cells[:, 1:]
    return spread


def _down(cells: np.ndarray) -> np.ndarray:
    moved = np.zeros_like(cells)
    moved[:, 1:] = cells[:, :-1]
    return moved


def _up(cells: np.ndarray) -> np.ndarray:
    moved = np.zeros_like(cells)
    moved[:, :-1] = cells[:, 1:]
    return moved
