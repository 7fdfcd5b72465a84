"""The evidence that a budget buys: of the claims wanted as many as can be paid, and the cheapest runs that answer them.

A claim is answered by all its runs and foldings or not at all, and claims share them: a set cover, which scipy's branch
and bound solves exactly; only where it does not end within its time is the answer the best found so far, and says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from softshare.errors import UserError
from softshare.scales import Run

_SECONDS = 20.0
_HOURS = {"m": 1 / 60, "h": 1.0, "d": 24.0}


@dataclass(frozen=True, order=True)
class Piece:
    """What is paid for by itself: a run's training, or its folding."""

    run: Run
    folding: bool = False


@dataclass(frozen=True)
class Purchase:
    """What a budget buys.

    Attributes:
        claims: Those that can be answered.
        left_out: Those that cannot, though their runs are known.
        pieces: To be made, sorted.
        seconds: That these take.
        exact: Whether no other choice answers more claims, or as many for less.
    """

    claims: tuple[str, ...]
    left_out: tuple[str, ...]
    pieces: tuple[Piece, ...]
    seconds: float
    exact: bool


def parse_budget(text: str) -> float:
    """Hours of a device from `20h`, `90m` or `2d`.

    Raises:
        UserError: It is none of these, or nothing, or beyond all numbers.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([mhd])", text.strip())
    hours = float(match[1]) * _HOURS[match[2]] if match else 0.0
    if not 0 < hours < math.inf:
        raise UserError("is no budget", key="budget", value=text, remedy="for instance 20h, 90m or 2d")
    return hours


def buy(needs: Mapping[str, Sequence[Piece]], seconds: Mapping[Piece, float], budget: float) -> Purchase:
    """Chooses claims and pieces.

    Args:
        needs: What each claim wanted needs.
        seconds: What each of these takes; 0 where it is there already.
        budget: Seconds in all.

    Raises:
        UserError: Not one claim can be paid.
    """
    claims = list(needs)
    pieces = sorted({piece for of in needs.values() for piece in of})
    cost = np.array([seconds[piece] for piece in pieces])
    unit = max(float(cost.sum()), 1.0)
    place = {piece: len(claims) + index for index, piece in enumerate(pieces)}
    size = len(claims) + len(pieces)
    rows = []
    for index, claim in enumerate(claims):
        for piece in needs[claim]:
            row = np.zeros(size)
            row[index], row[place[piece]] = 1.0, -1.0  # a claim that is answered has this piece
            rows.append(row)
    rows.append(np.concatenate([np.zeros(len(claims)), cost / unit]))
    most = np.array([0.0] * (len(rows) - 1) + [budget / unit])
    # One claim more outweighs what any pieces cost.
    objective = np.concatenate([-np.ones(len(claims)), 0.5 * cost / unit])
    found = milp(
        objective,
        constraints=LinearConstraint(np.array(rows), ub=most),
        integrality=np.ones(size),
        bounds=Bounds(0, 1),
        options={"time_limit": _SECONDS},
    )
    chosen = np.zeros(size, bool) if found.x is None else np.round(found.x).astype(bool)
    bought = tuple(claim for index, claim in enumerate(claims) if chosen[index])
    if not bought:
        cheapest = min(sum(seconds[piece] for piece in set(of)) for of in needs.values())
        remedy = f"the cheapest claim takes {cheapest / 3600:.1f} hours"
        raise UserError("buys no claim", key="budget", value=f"{budget / 3600:g}h", remedy=remedy)
    to_make = sorted({piece for claim in bought for piece in needs[claim] if seconds[piece] > 0})
    return Purchase(
        bought,
        tuple(claim for claim in claims if claim not in bought),
        tuple(to_make),
        sum(seconds[piece] for piece in to_make),
        found.status == 0,
    )
