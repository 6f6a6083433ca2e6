"""What the SDK finds out about a function of ours, and its client about a schema, found out once.

For all of a server it takes a tenth of a second, and thousands of tests have a server and a client of their own. What
runs in another process finds it out as ever.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any

from jsonschema import Draft202012Validator
from mcp.server.mcpserver.prompts.base import Prompt
from mcp.server.mcpserver.resources import ResourceTemplate
from mcp.server.mcpserver.tools import Tool
from pydantic import validate_call

OURS = "ws_mcp."
Make = Callable[..., Any]


def describe_once() -> None:
    """From here on, in this process."""
    _remember(Tool, lambda made, fn: {"fn": fn, "fn_metadata": made.fn_metadata.model_copy()})
    _remember(ResourceTemplate, lambda _made, fn: {"fn": _validating(fn)})
    _remember(Prompt, lambda _made, _fn: {})  # ours are plain functions: each has it from the same one
    _check_once(Draft202012Validator)


def _remember(kind: type[Any], own: Callable[[Any, Make], dict[str, Any]]) -> None:
    """`own`: what each has for itself."""
    make: Make = kind.from_function.__func__
    known: dict[Hashable, Any] = {}

    @wraps(make)
    def from_function(cls: type[Any], fn: Make, *arguments: object, **more: object) -> Any:
        plain = inspect.unwrap(fn)
        plain = getattr(plain, "__func__", plain)
        if not plain.__module__.startswith(OURS):
            return make(cls, fn, *arguments, **more)
        key = (cls, plain, repr(arguments), repr(more))
        if key not in known:
            known[key] = make(cls, fn, *arguments, **more)
        return known[key].model_copy(update=own(known[key], fn))

    kind.from_function = classmethod(from_function)


def _check_once(validator: type[Any]) -> None:
    check: Make = validator.check_schema
    good: set[str] = set()

    def check_schema(schema: object) -> None:
        text = json.dumps(schema, sort_keys=True)
        if text not in good:
            check(schema)
            good.add(text)

    validator.check_schema = staticmethod(check_schema)


def _validating(fn: Make) -> Make:
    """As the SDK has a template call its function; made when it is called, since few are."""

    @wraps(fn)
    async def validated(*arguments: object, **more: object) -> object:
        return await validate_call(fn)(*arguments, **more)

    return validated
