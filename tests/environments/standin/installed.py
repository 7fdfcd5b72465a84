"""In pip's place, offline: links what is installed beside this Python, and all that it needs, into another one."""

from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement


def link(requirements: list[str], site_packages: Path) -> None:
    """Links distributions into a folder of packages: those required, and what these require.

    Raises:
        SystemExit: One is not installed here, or not in the version that is asked for.
    """
    seen: set[str] = set()
    waiting = [Requirement(each) for each in requirements]
    while waiting:
        wanted = waiting.pop()
        for extra in ["", *wanted.extras]:
            key = f"{wanted.name.lower()}[{extra}]"
            if key in seen:
                continue
            seen.add(key)
            found = _find(wanted)
            if not extra:
                _link_files(found, site_packages)
            for needed in map(Requirement, found.requires or []):
                is_due = needed.marker is None or needed.marker.evaluate({"extra": extra})
                if is_due and (extra == "" or "extra" in str(needed.marker)):
                    waiting.append(needed)


def _find(wanted: Requirement) -> Distribution:
    try:
        found = distribution(wanted.name)
    except PackageNotFoundError:
        raise SystemExit(f"{wanted}: not installed here") from None
    if not wanted.specifier.contains(found.version, prereleases=True):
        raise SystemExit(f"{wanted}: {found.version} is installed here")
    return found


def _link_files(found: Distribution, site_packages: Path) -> None:
    """Links a distribution's folders and modules; of what only lies beside them, as commands, nothing."""
    for first in sorted({file.parts[0] for file in found.files or []} - {"..", "__pycache__"}):
        target = site_packages / first
        if not target.exists():
            target.symlink_to(Path(str(found.locate_file(first))).resolve())
