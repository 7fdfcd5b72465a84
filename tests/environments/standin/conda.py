"""Stands in for the conda command where there is none: what Snakemake calls of it, offline.

Requirements are parsed, solved and linked by py-rattler, from a channel of files beside this command; what an
environment takes from PyPI is linked from the Python that runs this (`installed.py`).
"""

import argparse
import asyncio
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import rattler
import yaml
from installed import link
from rattler.package.build_string import BuildString

HOME = Path(sys.argv[1])  # as conda's own prefix: holds bin/conda, bin/activate and channels/
VERSION = "25.1.0"
PLATFORMS = [rattler.Platform("linux-64"), rattler.Platform("noarch")]
MACHINE = {"__linux": "6.1", "__glibc": "2.36", "__unix": "0"}


def create(file: Path, prefix: Path) -> None:
    """Makes the environment of a file."""
    content = yaml.safe_load(file.read_text())
    channels = [f"file://{HOME}/channels/{name}" for name in content["channels"] if name != "nodefaults"]
    conda = [each for each in content["dependencies"] if isinstance(each, str)]
    pip = [each for group in content["dependencies"] if isinstance(group, dict) for each in group["pip"]]
    (prefix / "conda-meta").mkdir(parents=True)
    asyncio.run(solve_and_link(conda, channels, prefix))
    python = prefix / "bin/python"
    answer = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    link(pip, Path(answer.stdout.strip()))
    lines = [f"export {name}={shlex.quote(str(value))}\n" for name, value in content.get("variables", {}).items()]
    (prefix / "conda-meta/variables.sh").write_text("".join(lines))
    (prefix / "conda-meta/history").touch()


async def solve_and_link(requirements: list[str], channels: list[str], prefix: Path) -> None:
    """Solves requirements in channels, and links what was found into a prefix."""
    machine = [
        rattler.GenericVirtualPackage(rattler.PackageName(name), rattler.Version(version), BuildString("0"))
        for name, version in MACHINE.items()
    ]
    found = await rattler.solve(
        channels,
        [rattler.MatchSpec(each, strict=True) for each in requirements],
        platforms=PLATFORMS,
        virtual_packages=machine,
    )
    await rattler.install(records=found, target_prefix=prefix, show_progress=False)


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
            create(asked.file, asked.prefix)
        case ["clean", *_]:
            pass
        case _:
            sys.exit(f"the stand-in for conda knows no {arguments}")


main(sys.argv[2:])
sys.stdout.flush()
os._exit(0)  # rattler's threads may abort a Python that takes itself down
