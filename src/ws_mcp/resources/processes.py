"""Resources about processes: the list of a chat, each of them, and its output."""

from __future__ import annotations

from ws_mcp.core.errors import InvalidArgumentError
from ws_mcp.core.ids import ProcessId
from ws_mcp.core.processes.model import ReadRequest, Stream
from ws_mcp.core.processes.render import show, show_receipt
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.identity import Identity
from ws_mcp.edge.process_views import ProcessesView, ProcessView

LISTED = 200
OUTPUT_BYTES = 256 * 1024  # of one read: a person scrolls it, no model reads it
MAX_DIGITS = 18


class ProcessResources:
    """The processes of a chat as JSON, their output as text (or, with raw, as the very bytes)."""

    def __init__(self, core: Core, identity: Identity) -> None:
        self._core = core
        self._identity = identity

    async def processes(self, chat: str) -> str:
        """Processes of a chat in all its workspaces, running first, newest first."""
        caller = await self._identity.caller(chat)
        listing = await self._core.processes(caller.scope).list(None, LISTED)
        return ProcessesView.of(caller.chat, listing).shown()[1]

    async def process(self, chat: str, process: str) -> str:
        """One process of a chat: state, exit code, how much it wrote."""
        caller = await self._identity.caller(chat)
        window = await self._core.processes(caller.scope).read(ProcessId(process), ReadRequest(limit_bytes=1))
        return ProcessView.model_validate(ProcessView.fields(window.info)).shown()[1]

    async def output(
        self, chat: str, process: str, *, offset: str = "", tail: str = "", stream: str = "stdout", raw: str = ""
    ) -> str | bytes:
        """Output of a process from a byte offset, or its last (tail) bytes: cleaned text; raw=true: the very bytes."""
        request = ReadRequest(
            stream=Stream.ERR if _one_of("stream", stream, ("stdout", "stderr")) == "stderr" else Stream.OUT,
            offset=_number("offset", offset),
            limit_bytes=OUTPUT_BYTES,
            tail_bytes=min(_number("tail", tail), OUTPUT_BYTES),
        )
        is_raw = _one_of("raw", raw, ("", "false", "true")) == "true"
        caller = await self._identity.caller(chat)
        window = await self._core.processes(caller.scope).read(ProcessId(process), request)
        if is_raw:
            return window.data
        if window.info.is_receipt:
            return show_receipt(window.info).text
        return show(window, stream=request.stream, is_tail=request.tail_bytes > 0).text


def _number(name: str, text: str) -> int:
    """A count of bytes in the query of an address."""
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        raise InvalidArgumentError(f"{name} in the address is no count of bytes")
    return int(text)


def _one_of(name: str, text: str, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise InvalidArgumentError(f"{name} in the address can be {' or '.join(c for c in choices if c)}")
    return text
