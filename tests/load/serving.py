"""The servers that loads are put on: over stdio, or over HTTP with two people."""

from __future__ import annotations

import http.client
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

from tests.load.vitals import Server
from tests.support.listening import free_port, wait_until_it_listens
from tests.support.raw_client import META, Answer, Json, RawClient, RawClientError, open_child
from ws_mcp.core.ids import READ, WRITE
from ws_mcp.core.policy.tokens import TokenRecord, digest_of, written

WATCHED = Path(__file__).with_name("watched.py")
PEOPLE = ("alice", "bob")


class Caller(Protocol):
    """Whatever a tool is called through."""

    def call(self, tool: str, **arguments: object) -> Answer:
        """Call a tool, and wait for its answer, a refusal included."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OverHttp:
    """A server and its people's tokens."""

    server: Server
    port: int
    tokens: Mapping[str, str]
    callers: list[Posted] = field(default_factory=list["Posted"])

    def caller(self, person: str) -> Posted:
        """A connection of somebody, closed with the server; not safe for threads."""
        self.callers.append(Posted(self.port, self.tokens[person]))
        return self.callers[-1]


class Posted:
    """Calls over one connection that is kept, as 2026-07-28 has them."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._token = token
        self._last_id = 0

    def close(self) -> None:
        """No more calls."""
        self._connection.close()

    def call(self, tool: str, **arguments: object) -> Answer:
        """See `Caller`.

        Raises:
            RawClientError: it was answered with a protocol error.
        """
        self._last_id += 1
        params = {"name": tool, "arguments": arguments, "_meta": META}
        asked = {"jsonrpc": "2.0", "id": self._last_id, "method": "tools/call", "params": params}
        begin = time.perf_counter()
        self._connection.request("POST", "/mcp", json.dumps(asked).encode(), self._headers(tool))
        reply = self._connection.getresponse()
        whole = reply.read()
        is_stream = reply.getheader("content-type", "").startswith("text/event-stream")
        message = _of_a_stream(whole) if is_stream else cast("Json", json.loads(whole))
        if "result" not in message:
            raise RawClientError(f"{tool}: {reply.status} {json.dumps(message)[:500]}")
        return Answer.of(cast("Json", message["result"]), time.perf_counter() - begin)

    def _headers(self, tool: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": "tools/call",
            "Mcp-Name": tool,
        }


@contextmanager
def open_state() -> Generator[Path]:
    """A state directory that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="ws-mcp-load-") as directory:
        yield Path(directory) / "state"


@contextmanager
def open_stdio(state: Path, *flags: str) -> Generator[tuple[RawClient, Server]]:
    """A server and a connection to it; it ends with the block, and its local processes with it."""
    argv, told = _argv(state, "stdio", flags)
    with open_child(argv, state.parent / "stdio.log") as child:
        client = RawClient(child)
        client.connect()
        yield client, Server(pid=child.pid, state=state, told=told)


@contextmanager
def open_http(state: Path, *flags: str) -> Generator[OverHttp]:
    """A server with a token for each of `PEOPLE`."""
    tokens = {person: f"wsmcp_{person}_{'t' * 40}" for person in PEOPLE}
    path = state.parent / "tokens"
    path.write_text(written([_record(person, token) for person, token in tokens.items()]))
    path.chmod(0o600)
    port = free_port()
    argv, told = _argv(state, "http", ("--tokens", str(path), "--port", str(port), *flags))
    log = state.parent / "http.log"
    with log.open("wb") as said:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        wait_until_it_listens(child, port, log)
        served = OverHttp(server=Server(pid=child.pid, state=state, told=told), port=port, tokens=tokens)
        try:
            yield served
        finally:
            for caller in served.callers:
                caller.close()
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _argv(state: Path, command: str, flags: Sequence[str]) -> tuple[Sequence[str], Path]:
    told = state.parent / f"told-{secrets.token_hex(4)}"
    return (sys.executable, "-P", str(WATCHED), str(told), command, "--state", str(state), *flags), told


def _record(person: str, token: str) -> TokenRecord:
    return TokenRecord(
        name=person, principal=person, scopes=(READ, WRITE), created_at=datetime.now(UTC), sha256=digest_of(token)
    )


def _of_a_stream(body: bytes) -> Json:
    return next(message for message in _messages(body) if "id" in message and "method" not in message)


def _messages(body: bytes) -> Iterator[Json]:
    for line in body.decode().splitlines():
        if line.startswith("data:") and (text := line.removeprefix("data:").strip()):
            yield cast("Json", json.loads(text))
