"""The files of a run's folder that are written in one room and read in another, by name.

The folder is `results/<scale>/runs/<dataset>/<model>/<recipe>/seed<N>`.
"""

from __future__ import annotations

from pathlib import Path

METRICS = "metrics.json"  # written last: no complete run is without it
MANIFEST = "manifest.json"  # settings, code, device, times
HISTORY = "history.csv"  # a row an epoch
SIMILARITY = "similarity.npz"  # layer similarity matrices at some epochs
WEIGHTS = "model.safetensors"
PREDICTIONS = "predictions.npz"  # of some test examples; on shortest paths alone
CHECKPOINT = "checkpoint.pt"  # of a run that is not complete
DIVERGED = "diverged.json"  # of a run whose loss became no number; it is not complete
LOCK = ".lock"  # while a process trains there

FOLDING = Path("folding") / "folding.json"  # what `softshare fold` found
FOLDING_COSTS = Path("folding") / "folding.csv"
