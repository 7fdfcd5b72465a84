"""Stands in for the conda command where there is none: what Snakemake calls of it, offline.

Requirements are parsed, solved and linked by py-rattler, from a channel of files beside this command
(`creating.py`); what an environment takes from PyPI is linked from the Python that runs this (`installed.py`).
"""

import argparse
import json
import os
import sys
from pathlib import Path

HOME = Path(sys.argv[1])  # as conda's own prefix: holds bin/conda, bin/activate and channels/
VERSION = "25.1.0"


def main(arguments: list[str]) -> None:
    match arguments:
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": str(HOME), "platform": "linux-64", "conda_version": VERSION}))
        case ["--version"]:
            print(f"conda {VERSION}")
        case ["config", "--get", "channel_priority", *_]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create", *rest]:
            parser = argparse.ArgumentParser()
            for flag in ("--quiet", "--no-default-packages"):
                parser.add_argument(flag, action="store_true")
            parser.add_argument("--file", type=Path, required=True)
            parser.add_argument("--prefix", type=Path, required=True)
            asked = parser.parse_args(rest)
            # Slow to import, and needed for nothing else.
            from creating import create

            create(asked.file, asked.prefix, HOME)
        case ["clean", *_]:
            pass
        case _:
            sys.exit(f"the stand-in for conda knows no {arguments}")


main(sys.argv[2:])
sys.stdout.flush()
os._exit(0)  # rattler's threads may abort a Python that takes itself down
