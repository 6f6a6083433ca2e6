"""HTTP with tokens: clients that have one, files that know them, and a server of ours inside a test."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation

from support.fake_core import FakeCore
from ws_mcp.core.ids import READ, WRITE
from ws_mcp.core.policy.acts import Journal
from ws_mcp.core.policy.in_force import PolicyInForce
from ws_mcp.core.policy.limits import Limits, LimitsNow
from ws_mcp.core.policy.model import OPEN
from ws_mcp.core.policy.tokens import TokenRecord, digest_of, written
from ws_mcp.core.quotas import Quotas
from ws_mcp.core.replacing import replace_file
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.edge.bearer import Bearers, Issued, token_principal, token_stands
from ws_mcp.edge.guards import Decide, Guards
from ws_mcp.edge.http_choices import HttpChoices
from ws_mcp.edge.http_serving import authentication, serve_http
from ws_mcp.edge.identity import Identity
from ws_mcp.edge.notifier import Notifier
from ws_mcp.edge.serve import Stop
from ws_mcp.edge.token_file import TokenFile
from ws_mcp.edge.watching import topics
from ws_mcp.server import build_server

Json = dict[str, Any]
MADE_AT = datetime(2026, 11, 1, tzinfo=UTC)
VERSIONS = {"legacy": "2025-11-25", "2026-07-28": "2026-07-28"}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "0"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
HELLO: Json = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}},
}


def token_for(principal: str, *, name: str = "") -> str:
    """The token of a principal in these tests."""
    return f"wsmcp_{name or principal}_{'t' * 40}"


def record_for(principal: str, *, name: str = "", **more: Any) -> TokenRecord:
    """What a tokens file keeps of it."""
    fields = {"name": name or principal, "principal": principal, "scopes": (READ, WRITE), "created_at": MADE_AT, **more}
    return TokenRecord.model_validate({**fields, "sha256": digest_of(token_for(principal, name=name))})


def write_tokens(path: Path, *records: TokenRecord) -> Path:
    """A tokens file with exactly these."""
    replace_file(path, written(records))
    return path


@asynccontextmanager
async def http_client(url: str, token: str, mode: str, **more: Any) -> AsyncGenerator[Client]:
    """A client of an era that has a token."""
    headers = {"Authorization": f"Bearer {token}"}
    timeout = httpx2.Timeout(30, read=60)
    async with httpx2.AsyncClient(headers=headers, timeout=timeout) as inner:
        transport = streamable_http_client(url, http_client=inner)
        info = Implementation(name="test", version="1")
        async with Client(transport, mode=mode, read_timeout_seconds=30, client_info=info, **more) as client:
            yield client


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpGround:
    """A server inside the test, its tokens file, and what stands behind it."""

    url: str
    tokens: Path
    core: FakeCore
    notifier: Notifier

    def client(self, principal: str, mode: str, *, name: str = "", **more: Any) -> Any:
        """A client with the token of a principal."""
        return http_client(self.url, token_for(principal, name=name), mode, **more)


@asynccontextmanager
async def open_http_ground(
    directory: Path,
    *records: TokenRecord,
    choices: HttpChoices | None = None,
    issued: Issued | None = None,
    journal: Journal | None = None,
    decide: Decide | None = None,
    limits: LimitsNow = Limits,
) -> AsyncGenerator[HttpGround]:
    """Serve over real HTTP on the loopback, with the tokens of `records`."""
    choices = choices or HttpChoices(port=0)
    tokens = write_tokens(directory / "tokens", *records)
    core, stop, listens, addresses = FakeCore(), Stop(), anyio.Event(), list[str]()
    identity = Identity(core, token_principal, None, token_stands)
    notifier = Notifier(topics(identity), identity.watcher)
    decide = decide or PolicyInForce(lambda: OPEN, WorkspaceRules(), "http").decide
    guards = Guards(decide=decide, journal=journal, transport="http")
    server = build_server(
        core,
        default_hint=None,
        principal_of=token_principal,
        standing=token_stands,
        notifier=notifier,
        guards=guards,
    )
    by = authentication(choices, Bearers(TokenFile(tokens), issued, choices.oauth.resource if choices.oauth else ""))

    def ready(url: str) -> None:
        addresses.append(url)
        listens.set()

    async with anyio.create_task_group() as tasks:
        hold_stream = Quotas(limits, time.monotonic).stream
        tasks.start_soon(partial(serve_http, server, stop, choices, by, ready, hold_stream=hold_stream))
        await listens.wait()
        yield HttpGround(url=addresses[0], tokens=tokens, core=core, notifier=notifier)
        stop.ask()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back for one request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        """The body as JSON."""
        return json.loads(self.body)


def ask(url: str, message: object = HELLO, *, method: str = "POST", token: str = "", **headers: str) -> Reply:
    """Send one request as nobody's client; `message` is JSON, or bytes as they are. `_` in a header's name is `-`."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    given = {"Host": place.netloc, "Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    given |= {"Authorization": f"Bearer {token}"} if token else {}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    try:
        connection.request(method, url.removeprefix(f"{place.scheme}://{place.netloc}"), body, given)
        answer = connection.getresponse()
        is_stream = answer.getheader("content-type", "").startswith("text/event-stream")
        text = b"" if is_stream and method == "GET" else answer.read()
        return Reply(status=answer.status, headers=dict(answer.getheaders()), body=text)
    finally:
        connection.close()


def modern(method: str, **params: object) -> Json:
    """A request of the newer era."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}


def modern_headers(method: str, name: str = "") -> dict[str, str]:
    """The headers that go with it."""
    named = {"Mcp-Name": name} if name else {}
    return {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method, **named}
