"""Servers of a run: over stdio or HTTP, and one with another build of execd."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.to_thread
from mcp.types import CallToolResult
from support.images import BUSYBOX
from support.peers import Peer, open_peer, text_of
from support.server_process import HttpServer, open_http

import ws_mcp


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPeer(Peer):
    """A client of a server over HTTP, which lets one chat make ten calls a second."""

    server: HttpServer

    async def call(self, tool: str, **arguments: object) -> CallToolResult:
        """Call a tool, later if that is how soon it may be called."""
        while True:
            result = await self.client.call_tool(tool, arguments)
            if not (result.is_error and "`calls_per_s`" in text_of(result)):
                return result
            await anyio.sleep(0.2)


@asynccontextmanager
async def open_server(
    state: Path, door: str, engine: str, environment: Mapping[str, str] | None = None
) -> AsyncGenerator[Peer]:
    """A server on a state directory that reaches its engine at `engine`. With an `environment` it is not a fork."""
    flags = ("--image", BUSYBOX, "--engine", engine)
    if door == "stdio":
        async with open_peer(state, *flags, environment=environment, is_fresh=environment is not None) as peer:
            yield peer
        return
    serving = open_http(state, *flags)
    # In a thread: it sleeps until the server listens, which may ask the engine through a proxy of ours meanwhile.
    server = await anyio.to_thread.run_sync(serving.__enter__)
    try:
        async with server.client() as client:
            log = state.parent / "http.log"
            yield HttpPeer(client=client, pid=server.pid, log=log, updates=[], server=server)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(serving.__exit__, None, None, None)


@asynccontextmanager
async def open_another(peer: Peer) -> AsyncGenerator[Peer]:
    """For a call during which the server may be killed: over HTTP that takes the client with it, so another one."""
    if not isinstance(peer, HttpPeer):
        yield peer
        return
    async with peer.server.client() as client:
        yield replace(peer, client=client)


def another_build(directory: Path) -> Mapping[str, str]:
    """The environment of a server whose package is a copy with another execd: the same program of another digest."""
    if not directory.exists():
        source = Path(ws_mcp.__file__).parent
        shutil.copytree(source, directory / "ws_mcp")
        for program in (directory / "ws_mcp" / "_execd").glob("execd-*"):
            program.write_bytes(program.read_bytes() + b"\0")  # behind what is loaded of it
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(directory), os.environ.get("PYTHONPATH", ""))))}
