"""A server with one tool that does nothing, ours (`ours`) or the SDK's (`sdk`), at a port of the loopback.

Ours is the whole way of a call: transport, token, identity, gate with policy and quotas, tool.
Says on stdout where, and a token.
"""

from __future__ import annotations

import socket
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parents[1]))

from mcp.server import MCPServer
from support.fake_core import FakeCore
from support.http_ground import record_for, token_for, write_tokens

from bench.empty_server import noop
from ws_mcp.core.policy.in_force import PolicyInForce
from ws_mcp.core.policy.limits import Limits
from ws_mcp.core.policy.model import OPEN
from ws_mcp.core.quotas import Quotas
from ws_mcp.core.workspaces.rules import WorkspaceRules
from ws_mcp.edge import deadlines
from ws_mcp.edge.bearer import Bearers, token_principal, token_stands
from ws_mcp.edge.guards import Guards
from ws_mcp.edge.http_choices import HttpChoices
from ws_mcp.edge.http_serving import authentication, serve_http
from ws_mcp.edge.identity import stdio_hint
from ws_mcp.edge.serve import Stop, end, open_stop, serve_stdio
from ws_mcp.edge.token_file import TokenFile
from ws_mcp.edge.tool import Effect, ToolSpec
from ws_mcp.edge.views import View
from ws_mcp.server import Offer, build_server

MANY = Limits(calls_per_s=1e9, calls_burst=10**9)


class Nothing(View):
    """What the SDK makes of a text."""

    result: str


async def _noop() -> Nothing:
    return Nothing(result=await noop())


def _tools(*_: object) -> Iterable[ToolSpec]:
    _noop.__name__, _noop.__doc__ = "noop", "Do nothing."
    return [ToolSpec(function=_noop, title="Nothing", effect=Effect(is_read_only=True), deadline=deadlines.LOOKS)]


def _add(*_: object) -> None: ...


OFFER = Offer(tools=_tools, add=_add)


async def _stdio() -> None:
    async with open_stop() as stop:
        server = build_server(FakeCore(), default_hint=stdio_hint({}, "/src/app"), offer=OFFER)
        end(await serve_stdio(server, stop))


async def _http(tokens: Path) -> None:
    write_tokens(tokens, record_for("alice"))
    policy = PolicyInForce(lambda: OPEN, WorkspaceRules(), "http")
    quotas = Quotas(lambda: MANY, time.monotonic)
    guards = Guards(decide=policy.decide, admit=quotas.admit, transport="http")
    server = build_server(
        FakeCore(),
        default_hint=None,
        principal_of=token_principal,
        standing=token_stands,
        guards=guards,
        offer=OFFER,
    )
    choices = HttpChoices(port=0)
    by = authentication(choices, Bearers(TokenFile(tokens)))
    await serve_http(server, Stop(), choices, by, _say, hold_stream=quotas.stream)


def _say(address: str) -> None:
    print(address, token_for("alice"), flush=True)


def _sdk() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = MCPServer("empty", log_level="ERROR")
    server.add_tool(noop)
    _say(f"http://127.0.0.1:{port}/mcp")
    server.run(transport="streamable-http", host="127.0.0.1", port=port)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stdio"]:
            anyio.run(_stdio)
        case ["http"]:
            with tempfile.TemporaryDirectory() as directory:
                anyio.run(_http, Path(directory) / "tokens")
        case _:
            _sdk()
