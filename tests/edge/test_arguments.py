"""Schemas as models get them: names, types and words, nothing that pydantic made up."""

from __future__ import annotations

from ws_mcp.edge.schema import slim, untitled


def test_a_slim_schema_keeps_names_types_and_words() -> None:
    schema: dict[str, object] = {
        "title": "startArguments",
        "type": "object",
        "properties": {
            "title": {"title": "Title", "type": "string", "default": "x", "maxLength": 5},
            "size": {
                "anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}],
                "default": None,
                "description": "s",
            },
            "words": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string", "title": "W"}}]},
            "env": {"type": "object", "additionalProperties": {"type": "string", "title": "E"}},
        },
        "required": ["title"],
    }
    assert slim(schema) == {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "size": {"type": "integer", "description": "s"},
            "words": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            "env": {"type": "object"},
        },
        "required": ["title"],
    }


def test_an_untitled_schema_keeps_a_field_called_title() -> None:
    schema: dict[str, object] = {
        "title": "V",
        "$defs": {"title": {"title": "T", "type": "string"}},
        "properties": {"title": {"title": "Title", "anyOf": [{"title": "x", "type": "string"}]}},
    }
    assert untitled(schema) == {
        "$defs": {"title": {"type": "string"}},
        "properties": {"title": {"anyOf": [{"type": "string"}]}},
    }
