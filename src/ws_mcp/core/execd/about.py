"""What an execd says of itself: who it is, when a connection begins, and how full its place is (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from ws_mcp.core.execd.protocol import ExecdProtocolError, Header, child, integer, text

FIRST_REQUESTS = frozenset(
    ("hello", "start", "list", "get", "read", "write", "resize", "signal", "cancel", "stats", "ping", "stop")
)
"""What the first execds serve, which do not name their requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What an execd says of itself. `boot` changes with each start of it: the processes of another boot are gone.

    `requests`: the ops that it serves; one that is older than this server lacks some.
    """

    version: str
    place: str
    boot: str
    pid: int
    uid: int
    platform: str
    requests: frozenset[str]
    main: Header | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """How full a place is."""

    running: int
    ended: int
    receipts: int
    held_bytes: int
    connections: int
    rss_bytes: int


def hello_of(header: Header) -> Hello:
    """The reply to a hello.

    Raises:
        ExecdProtocolError
    """
    return Hello(
        version=text(header, "version"),
        place=text(header, "place"),
        boot=text(header, "boot"),
        pid=integer(header, "pid"),
        uid=integer(header, "uid"),
        platform=text(header, "platform"),
        requests=_requests(header),
        main=child(header, "main"),
    )


def stats_of(header: Header) -> Stats:
    """The reply to stats.

    Raises:
        ExecdProtocolError
    """
    names = ("running", "ended", "receipts", "held_bytes", "connections", "rss_bytes")
    return Stats(**{name: integer(header, name) for name in names})


def _requests(header: Header) -> frozenset[str]:
    named = header.get("requests")
    if named is None:
        return FIRST_REQUESTS
    if not isinstance(named, list):
        raise ExecdProtocolError("bad_message", "a list of requests that is none")
    return frozenset(text({"op": op}, "op") for op in cast("list[object]", named))
