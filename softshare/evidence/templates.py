"""The templates that pages are made from (`reports/templates`), each compiled once a process."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2

from softshare.files import project_root


def fill(name: str, context: Mapping[str, Any], filters: Mapping[str, Callable[..., str]]) -> str:
    """A template with its blanks filled; in pages of HTML what is filled in is escaped.

    Args:
        name: Its file's, such as `report.md.j2`.
        context: What its names stand for; one that is missing is an error.
        filters: Functions it may call by name; the same at every call for one template.
    """
    environment = _environment(project_root() / "reports" / "templates", name.endswith(".html.j2"))
    environment.filters.update(filters)
    return environment.get_template(name).render(context)


@functools.cache
def _environment(templates: Path, html: bool) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        autoescape=html,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
