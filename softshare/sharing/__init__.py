"""The method, for any PyTorch model: template banks, sharing, layer similarity. Stands on torch alone."""

from softshare.sharing.bank import INITIALISATIONS, TemplateBank
from softshare.sharing.convert import banks, parameter_groups, share
from softshare.sharing.similarity import chance_similarity, layer_similarity, recurrence_penalty

__all__ = [
    "INITIALISATIONS",
    "TemplateBank",
    "banks",
    "chance_similarity",
    "layer_similarity",
    "parameter_groups",
    "recurrence_penalty",
    "share",
]
