"""The ports of a place as a fake execd probes them.

Source: execd/PROTOCOL.md, section "Readiness".
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from support.fake_place import RefusalError, Request, Said

MAX_PROBE_MS = 600_000


class FakePorts:
    """Servers of a test by port: what each answers, None for never."""

    def __init__(self) -> None:
        self._answers: dict[int, bytes | None] = {}
        self._changed = anyio.Event()
        self._last_port = 40_000

    def free_port(self) -> int:
        """One at which nothing listens."""
        self._last_port += 1
        return self._last_port

    @asynccontextmanager
    async def listen(self, port: int, answer: bytes | None) -> AsyncGenerator[None]:
        """A server there as long as the block lasts."""
        self._answers[port] = answer
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
        yield
        del self._answers[port]

    async def probe(self, request: Request, scope: anyio.CancelScope) -> Said:
        """Try until it is ready; `scope` ends it early, as if its time were over."""
        port, path = _target(request)
        timeout_ms = request.get("timeout_ms", 0)
        if not 1 <= timeout_ms <= MAX_PROBE_MS:
            raise RefusalError("bad_request", f"timeout_ms is 1 to {MAX_PROBE_MS}")
        with scope:
            scope.deadline = anyio.current_time() + timeout_ms / 1000
            while True:
                if port in self._answers and path is None:
                    return {}
                status = _status(self._answers.get(port))
                if 200 <= status < 400:
                    return {"status": status}
                await self._changed.wait()
        raise RefusalError("not_ready", f"{self._reason(port, path)}; tried for {timeout_ms / 1000:g}s")

    def _reason(self, port: int, path: str | None) -> str:
        if port not in self._answers:
            return f"nothing listens on port {port}"
        answer = self._answers[port]
        if answer is None:
            return f"port {port} takes connections but does not answer GET {path}"
        status = _status(answer)
        said = f"is answered with status {status}" if status else "is answered with what is no HTTP"
        return f"GET {path} on port {port} {said}"


def _target(request: Request) -> tuple[int, str | None]:
    http = request.get("http")
    if ("tcp" in request) == (http is not None):
        raise RefusalError("bad_request", "a probe is either tcp or http")
    port, path = (request["tcp"], None) if http is None else (http["port"], http["path"])
    if not 1 <= port <= 65535:
        raise RefusalError("bad_request", "a port is 1 to 65535")
    if path is not None and (not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path):
        raise RefusalError("bad_request", "a path of http begins with / and has no space")
    return port, path


def _status(answer: bytes | None) -> int:
    words = (answer or b"").split(maxsplit=2)
    is_http = len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit()
    return int(words[1]) if is_http else 0
