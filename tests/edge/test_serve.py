"""What the exit code says, and spans. The rest of serving is tested as a program."""

from __future__ import annotations

import os
import signal
import sys
from types import ModuleType

import anyio
import pytest
from mcp.server._otel import OpenTelemetryMiddleware
from support.fake_core import FakeCore

from ws_mcp.edge.serve import open_stop
from ws_mcp.server import build_server

SPANS = "opentelemetry.sdk.trace"


async def test_the_first_signal_asks_for_the_end(real_io_both: None) -> None:
    with anyio.fail_after(30):
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
