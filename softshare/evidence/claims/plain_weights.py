"""The claim that layers of a plain CNN are like none of their stage (Figure 2, left), from its weights. No torch."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from softshare.evidence.claims.claim_runs import ClaimRuns
from softshare.evidence.claims.finding import Finding, UnansweredError, by_reason, within
from softshare.evidence.claims.reading import Claim
from softshare.evidence.shown import number
from softshare.evidence.verdict import Verdict
from softshare.files import LARGEST_WEIGHTS, plain_file

# The layers that would share templates: a stage's 3x3 convolutions but the first block's (section 4.1).
_LAYER = re.compile(r"(stage\d+)\.[1-9]\d*\.conv[12]\.weight")


def judge_none(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether no two layers of a stage are alike, in any seed."""
    found, level = runs.of(claim.setting("setting")), claim.test["at_most"]
    largest, wrong = {}, {}
    for record in found.complete:
        try:
            largest[str(record.run.seed)] = largest_similarity(runs.results / record.folder / "model.safetensors")
        except OSError:
            wrong[record.run.seed] = "model.safetensors is missing or cannot be read"
        except SafetensorError:
            wrong[record.run.seed] = "model.safetensors is damaged"
        except ValueError as error:
            wrong[record.run.seed] = f"model.safetensors {error}"
    if not largest:
        raise UnansweredError(Verdict.NOT_RUN, f"no weights of {found.cell.run}: {by_reason(wrong)}")
    runs.require_enough(found, len(largest), "have weights that can be read")
    most = max(largest.values())
    return Finding(
        verdict=within(most, level),
        sentence=f"the weights of no two layers of a stage of {found.cell.run} are alike by more than "
        f"{number(most, 3)} in any of {len(largest)} seeds",
        test="every pair of layers of every seed",
        n=len(largest),
        estimate=most,
        unit="similarity",
        bound=level,
        details={"largest_by_seed": largest},
        notes=(f"left out: {by_reason(wrong)}",) if wrong else (),
    )


def largest_similarity(file: Path) -> float:
    """Largest |cosine| between the weights of two layers of a stage.

    Raises:
        OSError: The file is missing.
        SafetensorError: It is damaged.
        ValueError: It holds no two such layers, weights of another type than float32, or weights that are NaN.
    """
    stages: dict[str, list[str]] = {}
    with safe_open(plain_file(file, LARGEST_WEIGHTS), framework="np") as weights:
        for name in sorted(weights.keys()):
            if match := _LAYER.fullmatch(name):
                stages.setdefault(match[1], []).append(name)
        if not stages or min(map(len, stages.values())) < 2:
            raise ValueError("holds no stages of two layers or more")
        # Of bfloat16 and smaller ones numpy knows nothing, and safetensors says so in several ways.
        if any(weights.get_slice(name).get_dtype() != "F32" for each in stages.values() for name in each):
            raise ValueError("holds no float32")
        largest = [_largest(np.stack([weights.get_tensor(name).ravel() for name in each])) for each in stages.values()]
    if not np.isfinite(largest).all():
        raise ValueError("holds NaN")
    return max(largest)


def _largest(vectors: np.ndarray) -> float:
    """[L, n] to the largest |cosine| of two of them."""
    inner = vectors @ vectors.T
    lengths = np.sqrt(inner.diagonal())
    cosines = np.abs(inner / np.outer(lengths, lengths))
    return float(cosines[np.triu_indices(len(vectors), k=1)].max())
