"""Starts a server as a host would, makes calls as a client, and shows them as a person would write them.

What is claimed about the answers is checked when it is claimed.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.types import TextContent

from ws_mcp.console import Cell, Console, Mark, Style, shortened
from ws_mcp.core.errors import one_line
from ws_mcp.core.processes.render import span
from ws_mcp.edge.views import View
from ws_mcp.settings import Settings

V = TypeVar("V", bound=View)

ANSWER_S = 60.0  # no call takes longer unless something is wrong
LOG_LINES = 8
SHOWN_LINES = 6  # of an output; what is in the middle is cut out
TIME_COLUMNS = 10
_NEXT = re.compile(r"next offset=(\d+)")


class ClaimError(Exception):
    """Something that the demo claims does not hold; the text says what in one line."""


@dataclass(slots=True, kw_only=True)
class Step:
    """One heading of the transcript: how long it took and what was checked under it."""

    title: str
    duration_s: float = 0.0
    claims: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    text: str
    structured: dict[str, Any] | None


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
        env=environment_of(settings),
    )
    with (directory / "log").open("a") as errors:
        async with Client(stdio_client(command, errors), read_timeout_seconds=ANSWER_S) as client:
            yield Server(client=client, pid=int(pid_file.read_text()))


def environment_of(settings: Settings) -> dict[str, str]:
    """This process's environment with all `settings` in it, for a child."""
    values = settings.model_dump(mode="json").items()
    given = {f"WS_MCP_{n.upper()}": json.dumps(v) if isinstance(v, (list, dict)) else str(v) for n, v in values}
    return {**os.environ, **given}


def log_lines(directory: Path) -> list[str]:
    """The last lines that the servers wrote to stderr."""
    log = directory / "log"
    return [one_line(line) for line in log.read_text().splitlines()[-LOG_LINES:]] if log.exists() else []


class Transcript:
    """What the demo did so far."""

    def __init__(self, shown: Console) -> None:
        self._shown = shown
        self.steps: list[Step] = []

    @asynccontextmanager
    async def step(self, title: str) -> AsyncGenerator[None]:
        """A heading, and what belongs under it."""
        step = Step(title=title)
        self.steps.append(step)
        self._shown.line()
        self._shown.line(f"{len(self.steps)}. {title}", Style.BOLD)
        began = anyio.current_time()
        yield
        step.duration_s = anyio.current_time() - began

    async def view(self, client: Client, kind: type[V], tool: str, /, **arguments: object) -> V:
        """Call a tool that answers with a view.

        Raises:
            ClaimError: it failed.
        """
        answer = await self._call(client, tool, arguments)
        return kind.model_validate(answer.structured)

    async def text(self, client: Client, tool: str, /, **arguments: object) -> str:
        """Call a tool that answers with text, which is shown.

        Raises:
            ClaimError: it failed.
        """
        answer = await self._call(client, tool, arguments)
        self.answer(answer.text)
        return answer.text

    async def read(self, client: Client, process: str, **arguments: object) -> tuple[str, int]:
        """Call `read_output`; the output and the offset where to go on.

        Raises:
            ClaimError: it failed, or does not say where to go on.
        """
        answer = await self._call(client, "read_output", {"process_id": process, **arguments})
        text, _, status = answer.text.rpartition("\n")
        self.answer(text)
        self.answer(status)
        following = _NEXT.search(status)
        if following is None:
            raise ClaimError(f"read_output does not say where to go on: {status}")
        return (f"{text}\n" if text else ""), int(following[1])

    def answer(self, text: str) -> None:
        """What came back, indented, its middle cut out where it is long."""
        lines = text.splitlines()
        if len(lines) > SHOWN_LINES:
            left_out = len(lines) - SHOWN_LINES + 1
            lines = [*lines[:2], f"... {left_out} lines more ...", *lines[2 + left_out :]]
        for line in lines:
            self._shown.line(f"     {shortened(line, self._shown.columns - 5)}", Style.DIM)

    def note(self, text: str) -> None:
        """What happened besides calls."""
        self._shown.line(f"   ! {text}", Style.YELLOW)

    def check(self, claim: str, *, holds: bool, found: object = None) -> None:
        """A claim that has to be true.

        Raises:
            ClaimError: it is not.
        """
        if not holds:
            raise ClaimError(f"not true: {claim}" + (f" (found: {one_line(str(found))})" if found is not None else ""))
        self.steps[-1].claims.append(claim)
        self._shown.line(f"   {self._shown.mark(Mark.OK)} {claim}")

    def sum_up(self) -> None:
        """All steps and their claims as a table."""
        rows: list[tuple[Cell, ...]] = []
        for step in self.steps:
            title, took = step.title, span(step.duration_s)
            for claim in step.claims:
                rows.append((Cell(text=title), Cell(text=took), Cell(text=claim)))
                title = took = ""
        self._shown.table(("step", "took", "checked"), rows, shrink=2)
        self._shown.line()

    async def _call(self, client: Client, tool: str, arguments: dict[str, object]) -> _Answer:
        written = f"{tool}({', '.join(f'{name}={_written(value)}' for name, value in arguments.items())})"
        began = anyio.current_time()
        try:
            result = await client.call_tool(tool, arguments)
        except MCPError as error:
            raise ClaimError(f"{tool} was refused: {one_line(str(error))}") from error
        took = span(anyio.current_time() - began)
        room = self._shown.columns - TIME_COLUMNS - 5
        sign = self._shown.paint(">", Style.CYAN)
        self._shown.line(f"   {sign} {shortened(written, room):<{room}}{took:>{TIME_COLUMNS}}")
        text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
        if result.is_error:
            raise ClaimError(f"{tool} failed: {one_line(text)}")
        return _Answer(text=text, structured=result.structured_content)


def _written(value: object) -> str:
    if isinstance(value, str):
        # As JSON would, but with the quotes that need no escapes: commands are full of double ones.
        return f"'{value}'" if '"' in value and "'" not in value else f'"{value}"'
    return str(value)


def first_of(group: BaseExceptionGroup[Exception]) -> Exception:
    """What went wrong first, out of the groups that task groups wrap it in."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error


def there(view: V | None) -> V:
    """A part of an answer that this answer must have."""
    if view is None:
        raise ClaimError("the answer lacks a part that it must have")
    return view
