"""Clients of a server that is about to end, over both transports: they block, and see which calls were answered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import IO, Protocol, cast
from urllib.parse import urlsplit

from support.http_ground import ask, modern, modern_headers
from support.raw_client import Call, RawClient
from support.server_process import HttpServer

Json = dict[str, object]
AT_ONCE = 6  # calls of one principal; eight are the limit
CHAT_HEADER = "X-Chat"
"""By which calls over HTTP are of one chat, whichever server takes them."""


class Caller(Protocol):
    """One client."""

    def ok(self, tool: str, **arguments: object) -> Json:
        """Call a tool that must succeed; returns its structured answer."""
        ...

    def all_ok(self, tool: str, arguments: Sequence[Json]) -> None:
        """Make such calls at once, which must succeed."""
        ...

    def begin(self, tool: str, **arguments: object) -> None:
        """Ask, and go on."""
        ...

    def leave(self) -> None:
        """Take back what was begun, as the transport does that."""
        ...

    def was_answered(self) -> bool:
        """Whether one of the begun calls succeeded; the server has ended, or the calls have."""
        ...


class StdioCaller:
    """Over pipes."""

    def __init__(self, client: RawClient) -> None:
        self.client = client
        self._begun: list[int] = []
        self._is_deaf = False

    def ok(self, tool: str, **arguments: object) -> Json:
        return self.client.ok(tool, **arguments).structured

    def all_ok(self, tool: str, arguments: Sequence[Json]) -> None:
        self.client.call_all([Call(tool=tool, arguments=each) for each in arguments], at_once=len(arguments))

    def begin(self, tool: str, **arguments: object) -> None:
        self._begun.append(self.client.send("tools/call", {"name": tool, "arguments": arguments}))

    def leave(self) -> None:
        for number in self._begun:
            self.client.tell({"method": "notifications/cancelled", "params": {"requestId": number}})
        self.client.request("tools/list", {})  # what was said before is taken; answers to those calls would be lost

    def close_input(self) -> None:
        """The server's stdin ends."""
        cast("IO[bytes]", self.client.child.stdin).close()

    def close_output(self) -> None:
        """Nobody reads any more; the server sees it at its next answer."""
        self._is_deaf = True
        cast("IO[bytes]", self.client.child.stdout).close()
        self.client.send("tools/list", {})

    def was_answered(self) -> bool:
        if self._is_deaf or self.client.child.poll() is None:
            return False
        return any(message.get("id") in self._begun and _is_good(message) for message in self.client.until_end())


class HttpCaller:
    """Over HTTP, with one connection for each call."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._begun: list[HTTPConnection] = []

    def ok(self, tool: str, **arguments: object) -> Json:
        message = modern("tools/call", name=tool, arguments=arguments)
        reply = ask(self._server.url, message, token=self._server.token, **_headers(tool))
        result = cast("Json", _last(reply.body.decode())["result"])
        assert not result.get("isError"), result
        return cast("Json", result["structuredContent"])

    def all_ok(self, tool: str, arguments: Sequence[Json]) -> None:
        def one(given: Json) -> Json:
            return self.ok(tool, **given)

        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(one, arguments))

    def begin(self, tool: str, **arguments: object) -> None:
        connection = HTTPConnection(urlsplit(self._server.url).netloc, timeout=30)
        headers = {
            "Authorization": f"Bearer {self._server.token}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **_headers(tool),
        }
        connection.request("POST", "/mcp", json.dumps(modern("tools/call", name=tool, arguments=arguments)), headers)
        self._begun.append(connection)

    def leave(self) -> None:
        for connection in self._begun:
            connection.close()
        self._begun.clear()

    def was_answered(self) -> bool:
        return any(_has_result(connection) for connection in self._begun)


def _headers(tool: str) -> dict[str, str]:
    return {**modern_headers("tools/call", tool), CHAT_HEADER: "one"}


def _last(text: str) -> Json:
    """An answer, whether it came alone or as the last event of a stream."""
    events = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")]
    return cast("Json", json.loads(events[-1] if events else text))


def _has_result(connection: HTTPConnection) -> bool:
    with suppress(OSError, HTTPException, ValueError):
        return _is_good(_last(connection.getresponse().read().decode()))
    return False


def _is_good(message: Json) -> bool:
    result = message.get("result")
    return isinstance(result, dict) and not cast("Json", result).get("isError")
