"""Secrets among the arguments of a call, kept out of the log and of errors.

All know them only once the call was let through: who is refused puts nothing into the memory of this server. What is
written before is cleaned by the call's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import cast

from ws_mcp.core.redaction import SECRETS, is_secret_name, without
from ws_mcp.edge.arguments import MAX_ENVIRONMENT, unpacked
from ws_mcp.edge.options import MAX_SECRETS

MOST = MAX_ENVIRONMENT + MAX_SECRETS  # as many as any tool takes


class Intake:
    """The secrets of one call, which is looked at when one of them could be written."""

    def __init__(self, arguments: Mapping[str, object]) -> None:
        self._arguments = arguments

    def remember(self, by: str) -> None:
        """Keep them out of whatever the server writes from now on. `by`: the principal that gave them."""
        if self._values:
            SECRETS.add(*self._values, by=by)

    def clean(self, text: str) -> str:
        """`text` without what the call itself gave; without others' secrets it would give those away to its caller."""
        return without(text, self._values) if self._values else text

    @cached_property
    def _values(self) -> tuple[str, ...]:
        return tuple(islice(_secrets_of(self._arguments), MOST))


def _secrets_of(arguments: Mapping[str, object]) -> Iterator[str]:
    options = _object(arguments.get("options"))
    yield from (value for value in _object(options.get("secrets")).values() if isinstance(value, str))
    for name, value in _object(arguments.get("env")).items():
        if isinstance(value, str) and is_secret_name(name):
            yield value


def _object(value: object) -> Mapping[str, object]:
    found = unpacked(value)
    return cast("Mapping[str, object]", found) if isinstance(found, Mapping) else {}
