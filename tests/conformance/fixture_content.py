"""Content of the fixtures, as the conformance suite wants it: what is shown, and what a client is asked for."""

from __future__ import annotations

from collections.abc import Mapping

from mcp.types import (
    CallToolResult,
    ContentBlock,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    EmbeddedResource,
    ImageContent,
    InputResponseRequestParams,
    InputResponses,
    SamplingMessage,
    TextContent,
    TextResourceContents,
)

from ws_mcp.edge.identity import request

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
IMAGE = ImageContent(type="image", data=PNG, mime_type="image/png")

DEFAULTS = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
ENUMS = {
    "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
    "titledSingle": {
        "type": "string",
        "oneOf": [{"const": f"value{n}", "title": f"Option {n}"} for n in (1, 2, 3)],
    },
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
    "titledMulti": {
        "type": "array",
        "items": {"anyOf": [{"const": f"value{n}", "title": f"Choice {n}"} for n in (1, 2, 3)]},
    },
    "legacyEnum": {
        "type": "string",
        "enum": ["opt1", "opt2", "opt3"],
        "enumNames": ["Option One", "Option Two", "Option Three"],
    },
}


def shown(*content: ContentBlock | str) -> CallToolResult:
    """A result of these blocks; texts are blocks of text."""
    return CallToolResult(content=[text(one) if isinstance(one, str) else one for one in content])


def text(words: str) -> TextContent:
    """A block of text."""
    return TextContent(type="text", text=words)


def embedded(uri: str, words: str, mime_type: str = "text/plain") -> EmbeddedResource:
    """A resource as a block."""
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=words))


def form_of(properties: Mapping[str, object], *, required: tuple[str, ...] = ()) -> dict[str, object]:
    """The schema of what a person is asked for."""
    return {"type": "object", "properties": dict(properties), "required": list(required)}


def asks_person(message: str, name: str, kind: str = "string") -> ElicitRequest:
    """A question with one field."""
    form = form_of({name: {"type": kind}}, required=(name,))
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=form))


def asks_model(words: str) -> CreateMessageRequest:
    """A question to the client's model."""
    said = SamplingMessage(role="user", content=text(words))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[said], max_tokens=100))


def given() -> tuple[InputResponses, str]:
    """What the client answered to the questions of an earlier round of this request, and the state it brings back."""
    found = InputResponseRequestParams.model_validate(request().params or {}, by_name=False)
    return found.input_responses or {}, found.request_state or ""
