"""One JSON-RPC message as it came, whatever it came by: the message, or the answer to what is none.

It has a sane shape, and each bad one gets an error, with the id of its request where that can be read for sure.
"""

from __future__ import annotations

import re

from mcp.shared.message import SessionMessage
from mcp.types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import from_json

from ws_mcp.edge.json_shape import ShapeError, check_shape

MAX_BYTES = 4 << 20  # as much as the SDK takes over HTTP
NO_JSON = "the message is no valid JSON"
MAX_ID = 256  # characters; it is repeated in the answer
EDGE_BYTES = 512  # of a message that is too long: enough to find the id at either end

_ID = rb'"id"\s*:\s*(?:(?P<number>-?\d{1,18})(?=\s*[,}])|"(?P<text>[\w.:-]{1,128})")'
_FIRST = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?(?:"method"\s*:\s*"[\w/$.-]{1,128}"\s*,\s*)?' + _ID)
_LAST = re.compile(_ID + rb"\s*\}\s*\Z")


def parsed(text: bytes, *, is_whole: bool) -> SessionMessage | JSONRPCError:
    """The message that a text is, or the answer to a text that is none.

    Source: JSON-RPC 2.0, section 5.1 (-32700: no JSON; -32600: no request).
    """
    if not is_whole:
        return _refusal(text, INVALID_REQUEST, f"the message is too large: at most {MAX_BYTES} bytes")
    try:
        check_shape(text)
        message = jsonrpc_message_adapter.validate_json(text, by_name=False)
    except ShapeError as error:
        return _refusal(text, INVALID_REQUEST, f"the message is refused: {error}")
    except ValidationError as error:
        kinds = {e["type"] for e in error.errors(include_url=False, include_input=False, include_context=False)}
        if "json_invalid" not in kinds:
            return _refusal(text, INVALID_REQUEST, "it is no JSON-RPC 2.0 message")
        return _refusal(text, PARSE_ERROR, NO_JSON)
    except ValueError:
        return _refusal(text, PARSE_ERROR, NO_JSON)
    reason = _bad_id(message, text)
    return _refusal(text, INVALID_REQUEST, reason) if reason else SessionMessage(message)


def _bad_id(message: JSONRPCMessage, text: bytes) -> str:
    """What is wrong with the id of a message."""
    if isinstance(message, JSONRPCNotification):
        # A request whose id is neither text nor a whole number would pass as one, and never be answered.
        is_one = b'"id"' not in text or "id" not in from_json(text)
        return "" if is_one else "the id of a request is a text or a whole number"
    number = message.id
    is_short = len(number) <= MAX_ID if isinstance(number, str) else number is None or abs(number) < 1 << 63
    return "" if is_short else f"the id of a request has at most {MAX_ID} characters, or 63 bits"


def _refusal(given: bytes, code: int, text: str) -> JSONRPCError:
    """An error for whoever waits for an answer to it. A response has no method, and nobody waits."""
    first, last = given[:EDGE_BYTES], given[-EDGE_BYTES:]
    found = (_FIRST.match(first) or _LAST.search(last)) if b'"method"' in first + last else None
    known = None if found is None else int(found["number"]) if found["number"] else found["text"].decode()
    return JSONRPCError(jsonrpc="2.0", id=known, error=ErrorData(code=code, message=text))
