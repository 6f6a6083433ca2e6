"""The processes of one place, as `ws-mcp ps` asks for them and shows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ws_mcp.console import Cell, Style, age_text, size_text
from ws_mcp.core.errors import one_line
from ws_mcp.core.execd.client import ExecdClient
from ws_mcp.core.execd.protocol import integer
from ws_mcp.core.ids import ChatId
from ws_mcp.core.processes.convert import infos_of
from ws_mcp.core.processes.model import ProcessInfo, ProcessState
from ws_mcp.core.processes.port import PlaceRef
from ws_mcp.core.processes.render import exit_text

ASK_S = 10.0
CHAT_CHARACTERS = 8
COMMAND_CHARACTERS = 200
HEADERS = ("PROCESS", "STATE", "AGE", "OUTPUT", "COMMAND")
_STYLES = {ProcessState.RUNNING: Style.GREEN, ProcessState.LOST: Style.YELLOW, ProcessState.ENDED: Style.DIM}


async def processes_in(
    client: ExecdClient, place: PlaceRef, chat: ChatId, which: Mapping[str, object]
) -> tuple[ProcessInfo, ...]:
    """Those that `which` says; a list that does not fit into one answer comes in parts."""
    found: tuple[ProcessInfo, ...] = ()
    while True:
        reply = await client.call("list", {**which, "skip": len(found)}, timeout_s=ASK_S)
        part = infos_of(reply.header, place, chat)
        found += part
        if not part or len(found) >= integer(reply.header, "total"):
            return found


def row_of(info: ProcessInfo, now: datetime) -> tuple[Cell, ...]:
    """One process, in the order of `HEADERS`."""
    state = exit_text(info.exit) if info.exit and info.state is ProcessState.ENDED else info.state.value
    written = info.out.end + (info.err.end if info.err else 0)
    return (
        Cell(text=info.process),
        Cell(text=state, style=_STYLES[info.state]),
        Cell(text=age_text((now - info.started_at).total_seconds())),
        Cell(text=size_text(written)),
        Cell(text=one_line(info.command, COMMAND_CHARACTERS)),
    )
