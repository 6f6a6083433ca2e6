"""Makes calls as a client, and shows them as a person would write them.

What is claimed about the answers is checked when it is claimed.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
from mcp import Client, MCPError
from mcp.types import TextContent

from ws_mcp.console import Cell, Console, Mark, Style, shortened
from ws_mcp.core.errors import one_line
from ws_mcp.core.processes.render import span
from ws_mcp.edge.views import View

V = TypeVar("V", bound=View)

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
    is_error: bool


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
        return kind.model_validate(_sound(tool, answer).structured)

    async def followed(self, client: Client, kind: type[V], tool: str, /, **arguments: object) -> V:
        """Like `view`, with the progress that is reported meanwhile.

        Raises:
            ClaimError: it failed.
        """
        answer = await self._call(client, tool, arguments, is_followed=True)
        return kind.model_validate(_sound(tool, answer).structured)

    async def refused(self, client: Client, tool: str, /, **arguments: object) -> str:
        """Call a tool that has to fail; what it says is shown.

        Raises:
            ClaimError: it did not.
        """
        answer = await self._call(client, tool, arguments)
        self.answer(answer.text)
        if not answer.is_error:
            raise ClaimError(f"not true: {tool} fails")
        return answer.text

    async def text(self, client: Client, tool: str, /, **arguments: object) -> str:
        """Call a tool that answers with text, which is shown.

        Raises:
            ClaimError: it failed.
        """
        answer = _sound(tool, await self._call(client, tool, arguments))
        self.answer(answer.text)
        return answer.text

    async def read(self, client: Client, process: str, **arguments: object) -> tuple[str, int]:
        """Call `read_output`; the output and the offset where to go on.

        Raises:
            ClaimError: it failed, or does not say where to go on.
        """
        answer = _sound("read_output", await self._call(client, "read_output", {"process_id": process, **arguments}))
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

    async def _call(
        self, client: Client, tool: str, arguments: dict[str, object], *, is_followed: bool = False
    ) -> _Answer:
        written = f"{tool}({', '.join(f'{name}={_written(value)}' for name, value in arguments.items())})"
        room = self._shown.columns - TIME_COLUMNS - 5
        call = f"   {self._shown.paint('>', Style.CYAN)} {shortened(written, room)}"
        if is_followed:
            self._shown.line(call)
        began = anyio.current_time()
        try:
            result = await client.call_tool(tool, arguments, progress_callback=self._hear if is_followed else None)
        except MCPError as error:
            raise ClaimError(f"{tool} was refused: {one_line(str(error))}") from error
        took = span(anyio.current_time() - began)
        padding = room - len(shortened(written, room))
        self._shown.line(f"     done after {took}" if is_followed else f"{call}{'':<{padding}}{took:>{TIME_COLUMNS}}")
        text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
        return _Answer(text=text, structured=result.structured_content, is_error=bool(result.is_error))

    async def _hear(self, progress: float, total: float | None, message: str | None) -> None:
        part = f"{100 * progress / total:3.0f} %" if total else f"{progress:5.2f}"
        self._shown.line(f"     {part}  {shortened(message or '', self._shown.columns - 12)}", Style.DIM)


def _sound(tool: str, answer: _Answer) -> _Answer:
    if answer.is_error:
        raise ClaimError(f"{tool} failed: {one_line(answer.text)}")
    return answer


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
