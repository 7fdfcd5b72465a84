"""`python fuzz.py TARGET SECONDS`: atheris feeds a parser bytes, led by which lines they reach, until time is up."""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["softshare"]):
    import fuzz_targets

if __name__ == "__main__":
    target, seconds = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as corpus:
        Path(corpus, "good").write_bytes(fuzz_targets.TARGETS[target].good)
        options = [f"-max_total_time={seconds}", "-max_len=8192", "-rss_limit_mb=4096", "-timeout=60"]
        options += [f"-artifact_prefix={corpus}/"]
        atheris.Setup([sys.argv[0], corpus, *options], lambda content: fuzz_targets.tried(target, content))
        atheris.Fuzz()
