"""What a call waits for at this moment, in words: for who gives it up and has to say why.

Set where the waiting is done, read where calls are bounded; work that belongs to no call says it to nobody.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

LOCK = "something else that is at work on the same thing, in this server or another one"
STATE = "the state directory or database"
ENGINE = "the container engine"
EXECD = "the process daemon of the workspace"

_call: ContextVar[list[str] | None] = ContextVar("ws_mcp_awaited", default=None)


@contextmanager
def noting() -> Generator[list[str]]:
    """The time of a call; what it waits for now is in the list, the last begun at the end."""
    waits: list[str] = []
    token = _call.set(waits)
    try:
        yield waits
    finally:
        _call.reset(token)


@contextmanager
def awaiting(what: str) -> Generator[None]:
    """The time in which this is waited for."""
    waits = _call.get()
    if waits is None:
        yield
        return
    waits.append(what)
    try:
        yield
    finally:
        waits.remove(what)
