"""What `ws-mcp ps` shows of dev containers: how each is and why, and what all chats run in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import anyio

from ws_mcp.console import Cell, Console, Style, home_path
from ws_mcp.core.devcontainers.model import DevContainer, DevContainerListing, Freshness, Status
from ws_mcp.core.errors import WsError, one_line
from ws_mcp.core.execd.protocol import ExecdProtocolError
from ws_mcp.core.ids import ChatId, WorkspaceName
from ws_mcp.core.processes.model import ProcessInfo, ProcessState
from ws_mcp.core.processes.port import PlaceRef
from ws_mcp.core.runtime import Core
from ws_mcp.edge.identity import local_principal
from ws_mcp.ps_processes import CHAT_CHARACTERS, HEADERS, processes_in, row_of

_HEADERS = ("CHAT", *HEADERS)
_STYLES = {Status.RUNNING: Style.GREEN, Status.ERROR: Style.RED, Status.ORPHANED: Style.YELLOW}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenOne:
    """A dev container, and what its execd said; `unknown`: why nothing is known about its processes."""

    found: DevContainer
    processes: tuple[tuple[ChatId, ProcessInfo], ...] = ()
    unknown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All of them; `unknown`: why they are not known now."""

    all: tuple[SeenOne, ...] = ()
    unknown: str = ""

    @property
    def is_unknown(self) -> bool:
        """Whether part of it could not be known."""
        return bool(self.unknown) or any(one.unknown for one in self.all)


async def seen_of(core: Core) -> Seen:
    """Ask the engine, and the execd of each that runs."""
    try:
        listing = await core.devcontainers.list()
    except WsError as error:
        return Seen(unknown=str(error))
    return await _asked(core, listing)


async def _asked(core: Core, listing: DevContainerListing) -> Seen:
    chats = [record.id for record in await core.chats(local_principal().id)]
    seen: dict[str, SeenOne] = {}

    async def ask(found: DevContainer) -> None:
        processes: list[tuple[ChatId, ProcessInfo]] = []
        unknown = ""
        if found.status is Status.RUNNING:
            try:
                _, address = await core.devcontainers.resolve(found.name)
                client = await core.places.client(address)
                place = PlaceRef(workspace=WorkspaceName(found.name), address=address, is_running=True)
                for chat in chats:
                    of_chat = await processes_in(client, place, chat, {"chat": chat})
                    processes += [(chat, info) for info in of_chat]
            except (WsError, ExecdProtocolError) as error:
                unknown = str(error)
        seen[found.name] = SeenOne(found=found, processes=tuple(processes), unknown=unknown)

    async with anyio.create_task_group() as tasks:
        for found in listing.devcontainers:
            tasks.start_soon(ask, found)
    return Seen(all=tuple(seen[found.name] for found in listing.devcontainers), unknown=listing.unknown)


def show_devcontainers(shown: Console, seen: Seen, now: datetime, *, show_ended: bool) -> None:
    """All of them, under one heading; nothing where there are none."""
    if seen.unknown:
        shown.line(f"dev containers are unknown now, not gone: {seen.unknown}", Style.YELLOW)
    if seen.all:
        shown.line("dev containers", Style.BOLD)
    for one in seen.all:
        _show(shown, one, now, show_ended=show_ended)


def _show(shown: Console, one: SeenOne, now: datetime, *, show_ended: bool) -> None:
    found = one.found
    verdict = found.verdict
    parts = [shown.paint(found.status.value, _STYLES.get(found.status, Style.PLAIN))]
    if verdict is not None and verdict.freshness is not Freshness.CLEAN:
        word = "out of date" if verdict.freshness is Freshness.DIRTY else "may be out of date"
        parts.append(f"{word} ({one_line('; '.join(verdict.reasons))})" if verdict.reasons else word)
    parts += [] if found.is_complete else ["not set up"]
    shown.line(f"  {found.name}: {', '.join((*parts, one_line(home_path(found.key.folder))))}")
    if found.error:
        shown.line(f"    {one_line(found.error)}", Style.YELLOW)
    if one.unknown:
        shown.line(f"    its processes are unknown now: {one.unknown}", Style.YELLOW)
    listed = [(chat, info) for chat, info in one.processes if show_ended or info.state is not ProcessState.ENDED]
    if listed:
        rows = [(Cell(text=chat[:CHAT_CHARACTERS]), *row_of(info, now)) for chat, info in listed]
        shown.table(_HEADERS, rows, shrink=len(_HEADERS) - 1, indent="    ")
    hidden = len(one.processes) - len(listed)
    if hidden:
        shown.line(f"    {hidden} ended; --all shows them", Style.DIM)
