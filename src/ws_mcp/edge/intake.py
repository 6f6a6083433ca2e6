"""Secrets among the arguments of a call: known before anything is done with them, kept out of the log and of errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from ws_mcp.core.redaction import SECRETS, Redactor, is_secret_name
from ws_mcp.edge.arguments import unpacked

MOST = 256  # of one call; the tools take fewer


class Intake:
    """The secrets of one call."""

    def __init__(self, arguments: Mapping[str, object]) -> None:
        self._values = tuple(value for value, _ in zip(_secrets_of(arguments), range(MOST), strict=False))
        for value in self._values:
            SECRETS.add(value)

    def clean(self, text: str) -> str:
        """`text` for the caller, without what it gave itself: looking for others' secrets would give them away."""
        if not self._values:
            return text
        redactor = Redactor()
        for value in self._values:
            redactor.add(value)
        return redactor.clean(text)


def _secrets_of(arguments: Mapping[str, object]) -> Iterator[str]:
    options = _object(arguments.get("options"))
    yield from (value for value in _object(options.get("secrets")).values() if isinstance(value, str))
    for name, value in _object(arguments.get("env")).items():
        if isinstance(value, str) and is_secret_name(name):
            yield value


def _object(value: object) -> Mapping[str, object]:
    found = unpacked(value)
    return cast("Mapping[str, object]", found) if isinstance(found, Mapping) else {}
