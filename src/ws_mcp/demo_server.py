"""Starts a server for the demo as a host would, with a client that speaks to it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters, stdio_client

from ws_mcp.core.errors import one_line
from ws_mcp.settings import Settings

ANSWER_S = 60.0  # no call takes longer unless something is wrong
LOG_LINES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server, and a client that speaks to it."""

    client: Client
    pid: int

    async def gone(self) -> None:
        """Wait until it does not answer any more."""
        try:
            while True:
                await self.client.call_tool("list_containers", {})
        except MCPError:
            return


@asynccontextmanager
async def open_server(settings: Settings, directory: Path) -> AsyncGenerator[Server]:
    """Start a stdio server and connect to it; its stderr goes to `log` in the directory. Leaving the block stops it."""
    pid_file = directory / "pid"
    serve = [sys.executable, "-m", "ws_mcp", "stdio"]
    # The shell becomes the server: its pid is the server's.
    command = StdioServerParameters(
        command="/bin/sh",
        args=["-c", 'echo $$ >"$0"; exec "$@"', str(pid_file), *serve],
        # What the server and its children leave in the temporary directory goes with the demo's own.
        env={**environment_of(settings), "TMPDIR": str(directory)},
    )
    with (directory / "log").open("a") as errors:
        async with Client(stdio_client(command, errors), read_timeout_seconds=ANSWER_S) as client:
            yield Server(client=client, pid=int(pid_file.read_text()))


def environment_of(settings: Settings) -> dict[str, str]:
    """This process's environment with all `settings` in it, for a child."""
    values = settings.model_dump(mode="json").items()
    said = ((name, value) for name, value in values if value is not None)
    given = {f"WS_MCP_{n.upper()}": json.dumps(v) if isinstance(v, (list, dict)) else str(v) for n, v in said}
    return {**os.environ, **given}


def log_lines(directory: Path) -> list[str]:
    """The last lines that the servers wrote to stderr."""
    log = directory / "log"
    return [one_line(line) for line in log.read_text().splitlines()[-LOG_LINES:]] if log.exists() else []
