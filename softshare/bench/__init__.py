"""`softshare bench`: ratios, each taken alternately in one run on one machine, held against bounds set beforehand."""

from softshare.bench.runner import run_benches

__all__ = ["run_benches"]
