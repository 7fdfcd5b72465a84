"""Soft parameter sharing for PyTorch (Savarese & Maire, ICLR 2019), and the suite that reproduces its paper.

`import softshare` is light: torch is loaded when one of the names below is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softshare.models import create_model as create_model
    from softshare.models import load_folded as load_folded
    from softshare.models import save_folded as save_folded
    from softshare.sharing import Folding as Folding
    from softshare.sharing import Loops as Loops
    from softshare.sharing import TemplateBank as TemplateBank
    from softshare.sharing import TiedBank as TiedBank
    from softshare.sharing import banks as banks
    from softshare.sharing import chance_similarity as chance_similarity
    from softshare.sharing import find_folding as find_folding
    from softshare.sharing import find_loops as find_loops
    from softshare.sharing import fold as fold
    from softshare.sharing import forget as forget
    from softshare.sharing import layer_similarity as layer_similarity
    from softshare.sharing import parameter_groups as parameter_groups
    from softshare.sharing import recurrence_penalty as recurrence_penalty
    from softshare.sharing import share as share
    from softshare.sharing import tie as tie
    from softshare.sharing import undecayed as undecayed
    from softshare.sharing import unshare as unshare

__version__ = "0.1.0"

_HOMES = {
    "Folding": "softshare.sharing",
    "Loops": "softshare.sharing",
    "TemplateBank": "softshare.sharing",
    "TiedBank": "softshare.sharing",
    "banks": "softshare.sharing",
    "chance_similarity": "softshare.sharing",
    "create_model": "softshare.models",
    "find_folding": "softshare.sharing",
    "find_loops": "softshare.sharing",
    "fold": "softshare.sharing",
    "forget": "softshare.sharing",
    "layer_similarity": "softshare.sharing",
    "load_folded": "softshare.models",
    "parameter_groups": "softshare.sharing",
    "recurrence_penalty": "softshare.sharing",
    "save_folded": "softshare.models",
    "share": "softshare.sharing",
    "tie": "softshare.sharing",
    "undecayed": "softshare.sharing",
    "unshare": "softshare.sharing",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'softshare' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
