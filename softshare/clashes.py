"""Settings that are each possible and together are not, which no schema can tell."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from softshare.errors import UserError


def refuse_clashes(settings: Mapping[str, Any], file: str | Path) -> None:
    """Holds the settings of a recipe of any task against each other, each of them as its schema asks.

    Raises:
        UserError: Two do not go together; it names both.
    """
    if "windows" in settings:
        require_windows_fit(settings["windows"], settings["side"], file)
    if settings.get("statistics_anew", 0) > settings.get("train", 0):
        problem = f"is more than the {settings['train']} training examples of a phase"
        raise UserError(problem, file=file, key="statistics_anew", value=settings["statistics_anew"])
    if settings.get("nesterov") and settings["optimizer"] == "sgd" and not settings["momentum"]:
        raise UserError("needs a momentum above 0", file=file, key="nesterov", value=True)
    if "resize" in settings and settings["resize"] < settings["crop"]:
        remedy = f"at least the crop's {settings['crop']}"
        raise UserError("is smaller than the crop", file=file, key="resize", value=settings["resize"], remedy=remedy)
    for key in ("crop_area", "crop_ratio"):
        if key in settings and settings[key][0] > settings[key][1]:
            raise UserError("the least comes first", file=file, key=key, value=list(settings[key]))


def require_windows_fit(windows: Sequence[int], side: int, file: str | Path | None = None) -> None:
    """Refuses windows of shortest paths that have no middle, leave the grid or do not grow.

    Args:
        windows: Of each phase, in order.
        side: Rows and columns of the grid.
        file: What gave them.

    Raises:
        UserError: There is such a one.
    """
    for window in windows:
        if window % 2 == 0:
            raise UserError("must be odd, for a point in its middle", file=file, key="windows", value=window)
        if window > side:
            remedy = f"give windows of at most {side}, or another side"
            raise UserError(f"is larger than side: {side}", file=file, key="windows", value=window, remedy=remedy)
    if any(later <= earlier for earlier, later in itertools.pairwise(windows)):
        remedy = "each must be larger than the one before"
        raise UserError("phases out of order", file=file, key="windows", value=windows, remedy=remedy)
