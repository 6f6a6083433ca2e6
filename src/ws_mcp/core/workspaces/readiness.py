"""Whether what runs in a workspace is ready, by a port, a page or a command; and what it said when it is not."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import anyio

from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import ConflictError, EngineError, WsError, one_line
from ws_mcp.core.execd import ready
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.ready import HttpProbe, TcpProbe
from ws_mcp.core.workspaces.model import Probe, Workspace

LOG_LINES = 20
LOG_BYTES = 4096
COMMAND_POLL_S = 0.5
CALL_S = 15.0
PROBES = ".probe"  # the chat whose processes they are: none that anybody can have


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What a probe found: where it answers, or why it does not and what was logged last."""

    is_ready: bool
    text: str


async def readiness_of(engine: Engine, client: ExecdClient, workspace: Workspace, probe: Probe) -> Readiness:
    """Wait for a probe's success, as long as it says."""
    where = _where(workspace, probe)
    try:
        if probe.command:
            await _command_succeeds(client, probe)
        elif probe.http:
            await ready.probe(client, HttpProbe(port=probe.http, path=probe.path), probe.wait_s)
        else:
            await ready.probe(client, TcpProbe(port=probe.tcp), probe.wait_s)
    except WsError as error:
        said = await _last_words(engine, workspace)
        return Readiness(
            is_ready=False, text=f"not ready{where} after {probe.wait_s:g} s: {one_line(str(error))}; {said}"
        )
    return Readiness(is_ready=True, text=f"ready{where}")


async def _command_succeeds(client: ExecdClient, probe: Probe) -> None:
    deadline = anyio.current_time() + probe.wait_s
    while True:
        left_s = deadline - anyio.current_time()
        code = await _run_once(client, probe.command, left_s)
        if code == 0:
            return
        if left_s <= COMMAND_POLL_S:
            raise ConflictError(
                f"the command ended with {code}" if code is not None else "the command did not end in time"
            )
        await anyio.sleep(COMMAND_POLL_S)


async def _run_once(client: ExecdClient, command: str, limit_s: float) -> int | None:
    limit_ms = max(int(limit_s * 1000), 1)
    wait = {"until": "exit", "timeout_ms": limit_ms}
    fields = {
        "process": f"probe-{secrets.token_hex(8)}",
        "chat": PROBES,
        "shell": command,
        "time_limit_ms": limit_ms,
        "first": {"limit": 1, "wait": wait},
    }
    reply = await client.call("start", fields, timeout_s=limit_s + CALL_S)
    process = reply.header.get("process")
    code = cast("Mapping[str, object]", process).get("code") if isinstance(process, Mapping) else None
    return code if isinstance(code, int) else None


def _where(workspace: Workspace, probe: Probe) -> str:
    port = probe.tcp or probe.http
    url = next((each.url for each in workspace.ports if each.container_port == port), "")
    return f" at {url}{probe.path if probe.http else ''}" if url else ""


async def _last_words(engine: Engine, workspace: Workspace) -> str:
    if workspace.container is None:
        return "it has no container"
    try:
        said = await engine.logs(workspace.container, LOG_LINES, LOG_BYTES)
    except EngineError:
        return "its log cannot be read now"
    return f"its last log lines: {one_line(said, 1000)}" if said.strip() else "it logged nothing"
