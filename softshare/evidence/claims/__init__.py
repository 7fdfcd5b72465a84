"""Every checkable statement of the paper, as `reports/paper/claims.yaml` lists them, held against the runs.

`reading` knows what a claim is; `claim_runs` finds the runs behind it; a module for each subject judges it
(`comparisons` of errors, `values`, `parameters`, `folds`, `similarities`, `settling`, `plain_weights`, `costs`,
`paths`); `judge` judges all; `writing` tells.
"""

from softshare.evidence.claims.judge import Judged, judge_claims
from softshare.evidence.claims.reading import Claim, read_claims
from softshare.evidence.claims.writing import describe_claims, write_claims

__all__ = ["Claim", "Judged", "describe_claims", "judge_claims", "read_claims", "write_claims"]
