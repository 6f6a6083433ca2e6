"""The official conformance suite, as `make conformance` installs it, and a way for it to our server.

The suite sends no token, and our server answers none without; at a unix socket it needs none. So the suite speaks to a
port of the loopback, whose bytes go to a socket as they are.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import ByteStream, SocketAttribute

from support.peers import project_of, server_argv, server_environment
from ws_mcp.core.engine.sockets import connect_unix

PLACE = os.environ.get("WS_MCP_CONFORMANCE") or Path(__file__).parents[2] / ".venv" / "conformance"
MODULES = Path(PLACE) / "node_modules"
SUITE = MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
OLDEST_NODE = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What the suite says about one point."""

    name: str
    status: str
    error: str = ""


def node() -> str:
    """A Node that is new enough: the one beside the suite, else the machine's; "" without."""
    beside = sorted(MODULES.glob("node-*/bin/node"))
    for found in (*map(str, beside), shutil.which("node") or ""):
        if found:
            said = subprocess.run((found, "--version"), capture_output=True, text=True, timeout=20, check=False).stdout
            version = re.match(r"v(\d+)\.", said)
            if version and int(version[1]) >= OLDEST_NODE:
                return found
    return ""


def conformance_missing() -> str:
    """Why its tests cannot run here; "" when they can."""
    if not SUITE.exists():
        return "the conformance suite is not installed: make conformance"
    return "" if node() else f"there is no Node {OLDEST_NODE} or newer: make conformance"


@asynccontextmanager
async def open_way(directory: Path) -> AsyncGenerator[str]:
    """A real server at a unix socket; what is yielded is the URL of a port whose bytes reach it."""
    state, path = directory / "s", directory / "socket"
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)

        async def serve(client: ByteStream) -> None:
            async with client, await connect_unix(str(path)) as server, anyio.create_task_group() as tasks:
                tasks.start_soon(copy, client, server)
                await copy(server, client)
                tasks.cancel_scope.cancel()

        names = (f"{name}:{port}" for name in ("localhost", "127.0.0.1"))
        flags = [word for name in names for word in ("--allowed-host", name)]
        argv = server_argv("http", state, "--engine", "none", "--unix", str(path), *flags)
        async with (
            await anyio.open_process(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=None,
                stderr=None,
                env=server_environment(),
                cwd=project_of(state),
            ) as server,
            anyio.create_task_group() as tasks,
        ):
            with anyio.fail_after(60):
                while not path.exists():  # noqa: ASYNC110 - another program makes it
                    await anyio.sleep(0.05)
            tasks.start_soon(listener.serve, serve)
            yield f"http://localhost:{port}/mcp"
            tasks.cancel_scope.cancel()
            server.terminate()


async def copy(reading: ByteStream, writing: ByteStream) -> None:
    """Hand all bytes on until one side is gone."""
    try:
        async for part in reading:
            await writing.send(part)
        await writing.send_eof()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


async def checks_of(url: str, scenario: str, version: str, results: Path) -> list[Check]:
    """Run one scenario; what it found."""
    argv = (node(), str(SUITE), "server", "--url", url, "--scenario", scenario, "--spec-version", version)
    done = await anyio.run_process((*argv, "-o", str(results)), check=False, env={**os.environ, "NO_COLOR": "1"})
    read = await anyio.to_thread.run_sync(read_checks, results)
    assert read, done.stdout.decode()[-2000:] + done.stderr.decode()[-2000:]
    return [Check(name=one["id"], status=one["status"], error=one.get("errorMessage", "")) for one in read]


def read_checks(results: Path) -> list[dict[str, str]]:
    """What the suite wrote."""
    return [one for path in sorted(results.rglob("checks.json")) for one in json.loads(path.read_text())]


if __name__ == "__main__":
    sys.exit(conformance_missing() or None)
