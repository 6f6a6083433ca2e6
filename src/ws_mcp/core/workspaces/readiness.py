"""Whether what runs in a workspace is ready, by a port, a page or a command; and what it said when it is not."""

from __future__ import annotations

from ws_mcp.core.engine.port import Engine
from ws_mcp.core.errors import EngineError, WsError, one_line
from ws_mcp.core.execd import files
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.workspaces.model import Probe, Workspace

LOG_LINES = 20
LOG_BYTES = 4096
COMMAND_POLL_S = 0.5


class NotReadyError(WsError):
    """The probe did not succeed in time; the workspace runs, `str(error)` says where and what it said."""


async def wait_until_ready(engine: Engine, client: ExecdClient, workspace: Workspace, probe: Probe) -> str:
    """Wait for a probe's success; returns a note for the caller.

    Raises:
        NotReadyError
    """
    try:
        if probe.command:
            await files.probe_command(client, probe.command, timeout_s=probe.wait_s, poll_s=COMMAND_POLL_S)
        elif probe.http:
            await files.probe_http(client, port=probe.http, path=probe.path, timeout_s=probe.wait_s)
        else:
            await files.probe_tcp(client, port=probe.tcp, timeout_s=probe.wait_s)
    except WsError as error:
        raise NotReadyError(
            f"workspace {workspace.name!r} runs, but is not ready after {probe.wait_s:g} s: "
            f"{one_line(str(error))}{_where(workspace, probe)}{await _last_words(engine, workspace)}"
        ) from error
    return f"ready{_where(workspace, probe)}"


def _where(workspace: Workspace, probe: Probe) -> str:
    port = probe.tcp or probe.http
    url = next((each.url for each in workspace.ports if each.container_port == port), "")
    return f" at {url}{probe.path if probe.http else ''}" if url else ""


async def _last_words(engine: Engine, workspace: Workspace) -> str:
    if workspace.container is None:
        return ""
    try:
        said = await engine.logs(workspace.container, LOG_LINES, LOG_BYTES)
    except EngineError:
        return ""
    return f"; its last log lines: {one_line(said, 1000)}" if said.strip() else "; it logged nothing"
