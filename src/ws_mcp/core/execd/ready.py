"""Whether a server in a place is ready, and the start of a main command that was held back, asked of its execd.

Every function may also raise OlderExecdError and ExecdUnavailableError.

Source: execd/PROTOCOL.md, section "Readiness".
"""

from __future__ import annotations

from dataclasses import dataclass

from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.protocol import Reply, integer

MAX_PROBE_S = 600.0
RELEASE_S = 30.0  # the command has started when the answer comes
LATE_S = 10.0  # how much longer than its own time the answer to a probe may take


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpProbe:
    """Ready is who takes connections."""

    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProbe:
    """Ready is who answers GET with a status of 200 to 399."""

    port: int
    path: str = "/"


async def probe(client: ExecdClient, target: TcpProbe | HttpProbe, timeout_s: float) -> int | None:
    """Wait at most `timeout_s` until a server is ready; the status that HTTP was answered with.

    It is asked at the address that a published port leads to. A cancelled caller ends the trying, too.

    Raises:
        NotReadyError: it was not ready in that time; the message has the last reason.
        InvalidArgumentError: the port, the path or the time cannot be.
    """
    fields: dict[str, object] = {"timeout_ms": int(timeout_s * 1000)}
    match target:
        case TcpProbe(port=port):
            fields["tcp"] = port
        case HttpProbe(port=port, path=path):
            fields["http"] = {"port": port, "path": path}

    def take(reply: Reply) -> int | None:
        return integer(reply.header, "status") if isinstance(target, HttpProbe) else None

    return await client.ask("probe", fields, take, timeout_s=timeout_s + LATE_S)


async def release(client: ExecdClient) -> None:
    """Let the main command of a gated place start, if it waits. Safe to repeat.

    Raises:
        StartError: the place is being stopped.
    """
    await client.ask("release", {}, lambda _: None, timeout_s=RELEASE_S)
