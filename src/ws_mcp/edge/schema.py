"""JSON schemas without what no model reads: every host sends them to its model with each request."""

from __future__ import annotations

from typing import cast

_KEPT = ("type", "description", "enum", "properties", "required", "items", "anyOf")
_NAMED = ("properties", "$defs")  # their keys are names, not keywords


def slim(schema: dict[str, object]) -> dict[str, object]:
    """An input schema with names, types and words only.

    Bounds and defaults stand in the descriptions, since half of the hosts strip them; null is taken for "left out".
    """
    kept = {key: _part(key, schema[key]) for key in _KEPT if key in schema}
    if "$ref" in schema:
        # What is in it stands in the description: a schema of it would cost every request more than it helps.
        kept = {"type": "object"} | kept
    choices = [c for c in cast("list[dict[str, object]]", kept.pop("anyOf", [])) if c.get("type") != "null"]
    if len(choices) == 1:
        kept = choices[0] | kept
    elif choices:
        kept["anyOf"] = choices
    return kept


def untitled(schema: dict[str, object]) -> dict[str, object]:
    """A schema without the titles that pydantic makes up from names."""
    plain: dict[str, object] = {}
    for key, value in schema.items():
        if key == "title":
            continue
        if key in _NAMED and isinstance(value, dict):
            named = cast("dict[str, dict[str, object]]", value)
            plain[key] = {name: untitled(part) for name, part in named.items()}
        else:
            plain[key] = _each(value)
    return plain


def _each(value: object) -> object:
    if isinstance(value, dict):
        return untitled(cast("dict[str, object]", value))
    if isinstance(value, list):
        return [_each(item) for item in cast("list[object]", value)]
    return value


def _part(key: str, value: object) -> object:
    if key == "properties":
        return {name: slim(part) for name, part in cast("dict[str, dict[str, object]]", value).items()}
    if key == "anyOf":
        return [slim(part) for part in cast("list[dict[str, object]]", value)]
    if key == "items" and isinstance(value, dict):
        return slim(cast("dict[str, object]", value))
    return value
