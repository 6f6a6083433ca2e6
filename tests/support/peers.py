"""Real servers as children, and the SDK's real client on them: what the end-to-end tests speak through."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.extension import ClientExtension
from mcp.client.session import ElicitationFnT
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult, ResourceUpdatedNotification, TextContent, TextResourceContents

from support.forked import forked_argv

Json = dict[str, object]
MODES = ("legacy", "auto")
"""Both protocol eras: the handshake of 2025-11-25, and 2026-07-28 found by asking."""

START_S = 30.0
MODULE = 3  # from where on the words of `server_argv` are the server's own
_RECORD_PID = 'echo $$ > "$0"; exec "$@"'
_OF_THE_HOST = ("WS_MCP_", "CLAUDE", "GROK", "DOCKER_CONTEXT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What `read_output` answered: the output from `start` on, and the line about it."""

    output: str
    status: str
    start: int
    next_offset: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A client and the server that it speaks to.

    `log`: what the server wrote to stderr. `updates`: addresses that it said to have changed, in the older era.
    """

    client: Client
    pid: int
    log: Path
    updates: list[str]

    async def call(self, tool: str, **arguments: object) -> CallToolResult:
        """Call a tool; the answer may be a refusal."""
        return await self.client.call_tool(tool, arguments)

    async def ok(self, tool: str, **arguments: object) -> Json:
        """Call a tool that must succeed; returns its structured answer."""
        result = await self.call(tool, **arguments)
        assert not result.is_error, f"{tool}: {text_of(result)}"
        return cast("Json", result.structured_content or {})

    async def read(self, process: object, **arguments: object) -> Page:
        """A page of the output of a process."""
        result = await self.call("read_output", process_id=process, **arguments)
        assert not result.is_error, text_of(result)
        return page_of(text_of(result))

    async def start(self, command: object, **arguments: object) -> str:
        """Start a process that must start; returns its id."""
        return str((await self.ok("start_process", command=command, **arguments))["process_id"])

    async def processes(self, **arguments: object) -> dict[str, Json]:
        """The processes of a chat by id."""
        listing = await self.ok("list_processes", limit=200, **arguments)
        return {str(process["process_id"]): process for process in cast("list[Json]", listing["processes"])}

    async def workspaces(self, **arguments: object) -> dict[str, Json]:
        """The workspaces of a chat by name."""
        listing = await self.ok("list_containers", **arguments)
        return {str(workspace["name"]): workspace for workspace in cast("list[Json]", listing["workspaces"])}

    async def refused(self, tool: str, **arguments: object) -> str:
        """Call a tool that must refuse; returns what it said, which must be one line without a path of this host."""
        result = await self.call(tool, **arguments)
        text = text_of(result)
        assert result.is_error, f"{tool} was not refused: {text}"
        assert text.strip(), f"{tool} was refused without a word"
        assert "\n" not in text, text
        assert "Traceback" not in text, text
        return text

    async def resource(self, uri: str) -> str:
        """The text of a resource."""
        result = await self.client.read_resource(uri)
        return "\n".join(part.text for part in result.contents if isinstance(part, TextResourceContents))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server."""
        os.kill(self.pid, number)

    async def kill(self) -> None:
        """End the server as a crash would, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        await ended(self.pid)


@asynccontextmanager
async def open_peer(
    state: Path,
    *flags: str,
    mode: str = "auto",
    environment: Mapping[str, str] | None = None,
    person: ElicitationFnT | None = None,
    extensions: Sequence[ClientExtension] = (),
    is_fresh: bool = False,
) -> AsyncGenerator[Peer]:
    """A stdio server on a state directory with a client of the given era; `environment` is added to this one's.

    `person`: answers what the server asks; without them the client says that it cannot ask. `is_fresh`: an interpreter
    of its own, as a host starts it; without it a fork of one that has loaded everything (`forked`).
    """
    name = f"{os.urandom(4).hex()}"
    pid_file, log = state.parent / f"{name}.pid", state.parent / f"{name}.log"
    argv = server_argv("stdio", state, *flags)
    recorded = ("sh", "-c", _RECORD_PID, str(pid_file), *argv)
    command, *arguments = recorded if is_fresh else forked_argv(pid_file, *argv[MODULE:])
    server = StdioServerParameters(
        command=command,
        args=arguments,
        env={**server_environment(), **(environment or {})},
        cwd=str(project_of(state)),
    )
    updates: list[str] = []

    async def on_message(message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            updates.append(str(message.params.uri))

    with log.open("w") as errors:
        handler = on_message if mode == "legacy" else None
        transport = stdio_client(server, errlog=errors)
        async with Client(
            transport,
            mode=mode,
            read_timeout_seconds=60,
            message_handler=handler,
            elicitation_callback=person,
            extensions=extensions,
        ) as client:
            with anyio.fail_after(START_S):
                while not (pid := pid_file.read_text() if pid_file.exists() else ""):  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(0.01)
            yield Peer(client=client, pid=int(pid), log=log, updates=updates)


def server_argv(command: str, state: Path, *flags: str) -> Sequence[str]:
    """How a server is started."""
    return (sys.executable, "-m", "ws_mcp", command, "--state", str(state), *flags)


def server_environment() -> dict[str, str]:
    """This environment without what a host around the tests may say about conversations and settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_HOST)}


def project_of(state: Path) -> Path:
    """The directory that servers on a state directory work in: it names their default chat."""
    project = state.parent / "project"
    project.mkdir(exist_ok=True)
    return project


def page_of(text: str) -> Page:
    """The parts of an answer of `read_output`; a line break before the status that is not output is left in."""
    output, line_break, status = text.rpartition("\n")
    start = re.search(r"bytes (\d+)-\d+ of", status)
    following = re.search(r"next offset=(\d+)", status)
    return Page(
        output=output + line_break,
        status=status,
        start=int(start[1]) if start else 0,
        next_offset=int(following[1]) if following else None,
    )


def text_of(result: CallToolResult) -> str:
    """All text of an answer."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


async def until(is_so: Callable[[], Awaitable[object]]) -> None:
    """Wait for something that only asking tells; the caller bounds the wait."""
    while not await is_so():  # noqa: ASYNC110 - another program makes it so
        await anyio.sleep(0.02)


async def ended(pid: int) -> None:
    """Wait until a process is gone or a zombie; the caller bounds the wait."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await anyio.wait_readable(descriptor)
    finally:
        os.close(descriptor)
