"""YAML read strictly, and values held against the project's schemas (`workflow/schemas`)."""

from __future__ import annotations

import copy
import functools
import sys
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from softshare.errors import UserError, did_you_mean
from softshare.files import project_root, read_text

# Characters of a YAML file up to which what it says is kept.
_KEPT = 200_000

# libyaml's where PyYAML was built with it: a report reads recipes hundreds of times, and it is some ten times faster.
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path, schema: str | None = None) -> Any:
    """Reads a YAML file and, where a schema is named, checks it against `workflow/schemas/<schema>.schema.yaml`.

    Raises:
        UserError: The file is missing, not YAML, or breaks the schema; it names the key and the value.
    """
    text = read_text(path)
    parsed = _parsed_yaml if len(text) < _KEPT else _parsed_yaml.__wrapped__
    return copy.deepcopy(parsed(text, schema, path))


@functools.lru_cache(maxsize=512)
def _parsed_yaml(text: str, schema: str | None, path: Path) -> Any:
    """By its text: a report reads the same few files dozens of times."""
    try:
        value = yaml.load(text, _StrictLoader)
    # A tag that does not fit its value, such as `!!bool "x"`, leaves PyYAML as a fault of its own code.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        problem = str(error).replace(' in "<unicode string>",', " at")
        raise UserError(f"is not YAML ({problem})", file=path) from error
    if schema:
        check(value, schema, path)
    return value


class _StrictLoader(_YAML_LOADER):  # type: ignore[misc, valid-type]
    """Plain values; no key twice, of which YAML takes the last, and no aliases, by which a page grows to a heap."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        seen: set[int] = set()
        waiting = [node] if node is not None else []
        while waiting:
            each = waiting.pop()
            if id(each) in seen:
                raise yaml.composer.ComposerError(None, None, "aliases are not read here", each.start_mark)
            seen.add(id(each))
            if isinstance(each, yaml.MappingNode):
                waiting += [part for pair in each.value for part in pair]
            elif isinstance(each, yaml.SequenceNode):
                waiting += each.value
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep)
        first: set[str] = set()
        for key, _ in node.value if len(mapping) < len(node.value) else ():
            if str(key.value) in first:
                problem = f"the key {str(key.value)!r} appears twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            first.add(str(key.value))
        return mapping


def _non_finite(value: object, key: str = "") -> str | None:
    """The key of a number that is NaN or infinite, which every bound lets pass, or too large to be reckoned with."""
    if isinstance(value, int | float) and not abs(value) <= sys.float_info.max:
        return key
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = (_non_finite(each, f"{key}.{name}" if key else str(name)) for name, each in items)
    return next((each for each in found if each is not None), None)


def check(value: object, schema: str, file: Path | str) -> None:
    """Checks a value against one of the project's schemas, and that its numbers are finite.

    Raises:
        UserError: It breaks the schema.
    """
    if (key := _non_finite(value)) is not None:
        raise UserError("is not a finite number", file=file, key=key)
    errors = list(_validator(schema).iter_errors(value))
    if not errors:
        return
    # A misspelt key also leaves the right one missing: name the misspelling.
    order = {"additionalProperties": 0, "required": 2}
    error = min(errors, key=lambda error: order.get(str(error.validator), 1))
    key = ".".join(str(part) for part in error.absolute_path) or None
    if error.validator == "additionalProperties":
        known = set(error.schema.get("properties", {}))
        for name in sorted(set(map(str, error.instance)) - known):
            where = f"{key}.{name}" if key else name
            raise UserError(
                "unknown key",
                file=file,
                key=where,
                value=error.instance.get(name),
                remedy=did_you_mean(name, known),
            )
    if error.validator == "enum":
        raise UserError(
            "unknown value",
            file=file,
            key=key,
            value=error.instance,
            remedy=did_you_mean(error.instance, map(str, error.validator_value)),
        )
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        raise UserError(f"the key {missing[0]!r} is missing", file=file, key=key)
    remedy = error.schema.get("description")
    raise UserError(error.message, file=file, key=key, remedy=f"expected: {remedy}" if remedy else None)


@functools.cache
def _validator(schema: str) -> Any:
    named: Registry = Registry(retrieve=lambda name: DRAFT202012.create_resource(_schema(name)))  # type: ignore[call-arg]
    return jsonschema.Draft202012Validator(_schema(f"{schema}.schema.yaml"), registry=named)


@functools.cache
def _schema(name: str) -> Any:
    return yaml.load((project_root() / "workflow" / "schemas" / name).read_text(), _StrictLoader)
