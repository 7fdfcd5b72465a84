"""The method, for any PyTorch model: template banks, sharing, similarity, tying, folding. Stands on torch and scipy.

Names are loaded when first used: `clusters` and `loops` need no torch, and neither do those who import them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softshare.sharing.bank import TemplateBank as TemplateBank
    from softshare.sharing.clusters import cluster_layers as cluster_layers
    from softshare.sharing.convert import banks as banks
    from softshare.sharing.convert import forget as forget
    from softshare.sharing.convert import parameter_groups as parameter_groups
    from softshare.sharing.convert import share as share
    from softshare.sharing.convert import undecayed as undecayed
    from softshare.sharing.folding import find_folding as find_folding
    from softshare.sharing.folding import fold as fold
    from softshare.sharing.initialise import INITIALISATIONS as INITIALISATIONS
    from softshare.sharing.loops import Folding as Folding
    from softshare.sharing.loops import Loops as Loops
    from softshare.sharing.loops import find_loops as find_loops
    from softshare.sharing.similarity import chance_similarity as chance_similarity
    from softshare.sharing.similarity import layer_similarity as layer_similarity
    from softshare.sharing.similarity import recurrence_penalty as recurrence_penalty
    from softshare.sharing.tied_bank import TiedBank as TiedBank
    from softshare.sharing.tying import tie as tie
    from softshare.sharing.unsharing import unshare as unshare

_HOMES = {
    "Folding": "loops",
    "INITIALISATIONS": "initialise",
    "Loops": "loops",
    "TemplateBank": "bank",
    "TiedBank": "tied_bank",
    "banks": "convert",
    "chance_similarity": "similarity",
    "cluster_layers": "clusters",
    "find_folding": "folding",
    "find_loops": "loops",
    "fold": "folding",
    "forget": "convert",
    "layer_similarity": "similarity",
    "parameter_groups": "convert",
    "recurrence_penalty": "similarity",
    "share": "convert",
    "tie": "tying",
    "undecayed": "convert",
    "unshare": "unsharing",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"softshare.sharing.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'softshare.sharing' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
