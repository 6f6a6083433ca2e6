"""The official conformance suite, as `make conformance` installs it, and a way for it to our server.

The suite sends no token, and our server answers none without; at a unix socket it needs none. So the suite speaks to a
port of the loopback, whose bytes go to a socket as they are.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import ByteStream, SocketAttribute

from support.npm_tools import SUITE
from support.peers import project_of, server_argv, server_environment
from ws_mcp.core.engine.sockets import connect_unix


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What the suite says about one point."""

    name: str
    status: str
    error: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether something is wrong; a warning counts."""
        return self.status not in {"SUCCESS", "INFO", "SKIPPED"}


@asynccontextmanager
async def open_way(directory: Path) -> AsyncGenerator[str]:
    """A real server at a unix socket; what is yielded is the URL of a port whose bytes reach it."""
    state, path = directory / "s", directory / "socket"
    async with open_port(path) as (port, names):
        flags = [word for name in names for word in ("--allowed-host", name)]
        argv = server_argv("http", state, "--engine", "none", "--unix", str(path), *flags)
        async with await anyio.open_process(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=None,
            stderr=None,
            env=server_environment(),
            cwd=project_of(state),
        ) as server:
            with anyio.fail_after(60):
                while not path.exists():  # noqa: ASYNC110 - another program makes it
                    await anyio.sleep(0.05)
            yield f"http://localhost:{port}/mcp"
            server.terminate()


@asynccontextmanager
async def open_port(path: Path) -> AsyncGenerator[tuple[int, tuple[str, ...]]]:
    """A port of the loopback whose bytes go to the socket `path`, and the names that it is called by."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        port = listener.extra(SocketAttribute.local_port)

        async def serve(client: ByteStream) -> None:
            async with client, await connect_unix(str(path)) as server, anyio.create_task_group() as tasks:
                tasks.start_soon(copy, client, server)
                await copy(server, client)
                tasks.cancel_scope.cancel()

        tasks.start_soon(listener.serve, serve)
        yield port, tuple(f"{name}:{port}" for name in ("localhost", "127.0.0.1"))
        tasks.cancel_scope.cancel()


async def copy(reading: ByteStream, writing: ByteStream) -> None:
    """Hand all bytes on until one side is gone."""
    try:
        async for part in reading:
            await writing.send(part)
        await writing.send_eof()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


async def checks_of(url: str, scenario: str, version: str, results: Path) -> list[Check]:
    """Run one scenario; what it found. Without `version`: one that is of no revision, but of an extension."""
    argv = [*SUITE.argv, "server", "--url", url, "--scenario", scenario]
    argv += ["--spec-version", version] if version else []
    done = await anyio.run_process((*argv, "-o", str(results)), check=False, env={**os.environ, "NO_COLOR": "1"})
    read = await anyio.to_thread.run_sync(read_checks, results)
    assert read, done.stdout.decode()[-2000:] + done.stderr.decode()[-2000:]
    return [checked(one) for one in read]


async def required_checks(url: str, revision: str, results: Path) -> dict[str, list[Check]]:
    """Run what a revision requires; what was found, by scenario."""
    argv = (*SUITE.argv, "server", "--url", url, "--requirements", revision, "-o", str(results))
    done = await anyio.run_process(argv, check=False, env={**os.environ, "NO_COLOR": "1"})
    found: dict[str, list[Check]] = {}
    async for place in anyio.Path(results).glob("server-*"):
        scenario = re.match(r"server-(.+?)-\d{4}-\d\d-\d\dT", place.name)
        assert scenario, f"the suite names its results in another way: {place.name}"
        read = await anyio.to_thread.run_sync(read_checks, Path(place))
        found[scenario[1]] = [checked(one) for one in read]
    assert found, done.stdout.decode()[-2000:] + done.stderr.decode()[-2000:]
    return found


async def all_scenarios() -> list[str]:
    """Every scenario for servers that the suite has."""
    done = await anyio.run_process((*SUITE.argv, "list", "--server"), env={**os.environ, "NO_COLOR": "1"})
    return re.findall(r"^\s*-\s+(\S+)", done.stdout.decode(), re.MULTILINE)


def scored(revision: str) -> list[str]:
    """The scenarios of a server that a revision requires."""
    words = (SUITE.script.parents[1] / "requirements" / f"{revision}.yaml").read_text()
    part = re.search(r"^server:\n((?:  - .+\n)+)", words, re.MULTILINE)
    assert part is not None
    return re.findall(r"  - (\S+)", part[1])


def checked(one: dict[str, str]) -> Check:
    """A point as it was written."""
    return Check(name=one["id"], status=one["status"], error=one.get("errorMessage", ""))


def read_checks(results: Path) -> list[dict[str, str]]:
    """What the suite wrote."""
    return [one for path in sorted(results.rglob("checks.json")) for one in json.loads(path.read_text())]
