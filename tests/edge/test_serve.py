"""Serving over HTTP inside a test, and what the exit code says. The rest of serving is tested as a program."""

from __future__ import annotations

import os
import signal
import sys
from types import ModuleType

import anyio
import pytest
from mcp import Client
from mcp.server._otel import OpenTelemetryMiddleware
from support.edge_client import MODES, ok
from support.fake_core import FakeCore

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.edge.serve import Stop, open_stop, serve_http
from ws_mcp.server import build_server

SPANS = "opentelemetry.sdk.trace"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
async def test_http_is_served_on_the_loopback_until_it_is_asked_to_end(host: str, real_io: None) -> None:
    stop, addresses, listens = Stop(), list[str](), anyio.Event()

    def ready(url: str) -> None:
        addresses.append(url)
        listens.set()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            server = build_server(FakeCore(), default_hint=None)
            tasks.start_soon(serve_http, server, stop, host, 0, ready)
            await listens.wait()
            (url,) = addresses
            for mode in MODES:
                async with Client(url, mode=mode) as client:
                    assert (await ok(client, "provision_workspace"))["change"] == "created"
            stop.ask(signal.SIGTERM)
    assert stop.code == 143


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.test", ""])
async def test_it_does_not_listen_where_others_could_reach_it(host: str, real_io: None) -> None:
    with pytest.raises(InvalidArgumentError, match="does not listen on"):
        await serve_http(build_server(FakeCore(), default_hint=None), Stop(), host, 0)


@pytest.mark.parametrize("port", [-1, 65536, 99999])
async def test_a_port_that_is_none_is_refused(port: int, real_io: None) -> None:
    with pytest.raises(InvalidArgumentError, match="65535"):
        await serve_http(build_server(FakeCore(), default_hint=None), Stop(), "127.0.0.1", port)


async def test_a_port_that_is_taken_is_an_error_that_says_so(real_io: None) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as taken:
        port = taken.extra(anyio.abc.SocketAttribute.local_port)
        with pytest.raises(InvalidArgumentError, match="choose another --port"):
            await serve_http(build_server(FakeCore(), default_hint=None), Stop(), "127.0.0.1", port)


async def test_the_first_signal_asks_for_the_end(real_io_both: None) -> None:
    with anyio.fail_after(5):
        async with open_stop() as stop:
            assert (stop.is_asked, stop.code) == (False, 0)
            os.kill(os.getpid(), signal.SIGINT)
            await stop.wait()
            assert (stop.signal, stop.code) == (signal.SIGINT, 130)
            stop.ask(signal.SIGTERM)
            assert stop.code == 130


@pytest.mark.parametrize("is_traced", [False, True])
def test_a_request_makes_a_span_only_where_somebody_takes_spans(
    *, is_traced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, SPANS, raising=False)
    if is_traced:
        monkeypatch.setitem(sys.modules, SPANS, ModuleType(SPANS))
    server = build_server(FakeCore(), default_hint=None)
    assert any(isinstance(one, OpenTelemetryMiddleware) for one in server.middleware) is is_traced
