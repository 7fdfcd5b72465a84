"""`python envs/licences.py`: a table of the licences of all in `envs/requirements-dev.lock`, from what is installed.

Written to standard output; `make lock` keeps it in `reports/licences.md`.
"""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

LOCK = Path(__file__).with_name("requirements-dev.lock")
_CLASSIFIER = "License :: OSI Approved :: "
_LONGEST = 60  # beyond it a licence's field holds the text itself


def locked(lock: Path = LOCK) -> dict[str, str]:
    """Version of each package in a lock file."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", lock.read_text(encoding="utf-8"), re.M))


def licence(package: str) -> str:
    """What a package's own metadata say, in the order: SPDX expression, classifiers, field; else what it brings."""
    metadata = importlib.metadata.metadata(package)
    if expression := metadata.get("License-Expression"):
        return expression
    approved = [each for each in metadata.get_all("Classifier") or () if each.startswith("License :: ")]
    named = [each.removeprefix(_CLASSIFIER).removeprefix("License :: ") for each in approved]
    if named and named != ["OSI Approved"]:
        return "; ".join(named)
    field = (metadata.get("License") or "").strip()
    if field and len(field) <= _LONGEST and "\n" not in field:
        return field
    if field:
        return f"{field.splitlines()[0].strip()[:_LONGEST]} (text in its metadata)"
    files = [file.name for file in importlib.metadata.files(package) or () if re.search("licen[cs]e", file.name, re.I)]
    return f"not told in its metadata; see its {files[0]}" if files else "not told"


def table(lock: Path = LOCK) -> str:
    """The table, as Markdown."""
    rows = [f"| {name} | {version} | {licence(name)} |" for name, version in locked(lock).items()]
    head = [
        "# Licences",
        "",
        f"Of the {len(rows)} packages of `envs/requirements-dev.lock`, as each one's own metadata tell them.",
        "softshare itself is MIT.",
        "",
        "| package | version | licence |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


if __name__ == "__main__":
    print(table(), end="")
