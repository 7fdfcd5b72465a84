"""Makes an environment from its file, as conda would: solved and linked by py-rattler."""

import asyncio
import shlex
import subprocess
from pathlib import Path

import rattler
import yaml
from installed import link
from rattler.package.build_string import BuildString

PLATFORMS = [rattler.Platform("linux-64"), rattler.Platform("noarch")]
MACHINE = {"__linux": "6.1", "__glibc": "2.36", "__unix": "0"}


def create(file: Path, prefix: Path, home: Path) -> None:
    """Makes the environment of a file, of the channels in a folder."""
    content = yaml.safe_load(file.read_text())
    channels = [f"file://{home}/channels/{name}" for name in content["channels"] if name != "nodefaults"]
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
