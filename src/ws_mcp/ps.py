"""`ws-mcp ps`: which workspaces and dev containers there are, and what runs in them, for the person at this machine."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

import anyio

from ws_mcp.console import Console, Style, age_text, console, home_path
from ws_mcp.core.clock import utc_now
from ws_mcp.core.errors import EngineError, WsError, one_line
from ws_mcp.core.execd.places import PlaceAddress
from ws_mcp.core.execd.protocol import ExecdProtocolError
from ws_mcp.core.ids import Scope
from ws_mcp.core.processes.model import ProcessInfo, ProcessState
from ws_mcp.core.processes.port import PlaceRef
from ws_mcp.core.runtime import Core
from ws_mcp.core.stores.damage import has_state
from ws_mcp.core.workspaces.model import Workspace, WorkspaceState
from ws_mcp.doors import choices_of, open_core_of, open_doors
from ws_mcp.ps_devcontainers import seen_of, show_devcontainers
from ws_mcp.ps_processes import CHAT_CHARACTERS, HEADERS, processes_in, row_of
from ws_mcp.settings import Settings

_EMPTY = """\
No workspace of this instance was found ({state}).
An assistant makes one with the tool provision_workspace: give your host the command `ws-mcp stdio`, and see
`ws-mcp demo` for what happens then. Another instance has another state directory: ws-mcp ps --state DIR."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A workspace, whose it is, and what its execd said; `unknown`: why nothing is known about its processes."""

    scope: Scope
    workspace: Workspace
    processes: tuple[ProcessInfo, ...] = ()
    unknown: str = ""

    @property
    def is_unknown(self) -> bool:
        """Whether it could not be looked at, or what is in it could not."""
        return bool(self.unknown) or self.workspace.state is WorkspaceState.UNKNOWN


async def ps(settings: Settings, show_ended: bool) -> int:
    """Print workspaces and processes; the exit code is 1 if part of it could not be known."""
    shown = console()
    state = choices_of(settings).state
    empty = _EMPTY.format(state=home_path(str(state)))
    if not settings.state_database and not has_state(state):
        shown.line(empty)
        return 0
    async with open_doors(settings) as doors, open_core_of(choices_of(settings, may_stand_in=True), doors) as core:
        async with shown.progress("asking the engine and each workspace"):
            places, unknown = await places_of(core)
            dev = await seen_of(core)
        principals = {place.scope.principal for place in places}
        labels = {record.id: record.label for principal in principals for record in await core.chats(principal)}
        damage = core.state.damage
    if damage:
        shown.line(damage, Style.RED)
    if unknown:
        shown.line(f"containers are unknown now, not gone: {unknown}", Style.YELLOW)
    elif not places and not dev.all:
        shown.line(empty)
    by_chat: dict[Scope, list[Place]] = defaultdict(list)
    for place in places:
        by_chat[place.scope].append(place)
    for scope, of_chat in by_chat.items():
        label = home_path(one_line(labels.get(scope.chat, "").removeprefix("project:")))
        shown.line(f"{label or 'unnamed'}  (chat {scope.chat[:CHAT_CHARACTERS]})", Style.BOLD)
        for place in of_chat:
            show_place(shown, place, utc_now(), show_ended=show_ended)
    show_devcontainers(shown, dev, utc_now(), show_ended=show_ended)
    return 1 if damage or unknown or any(place.is_unknown for place in places) or dev.is_unknown else 0


async def places_of(core: Core) -> tuple[list[Place], str]:
    """All workspaces with what runs in them, and why containers are not known, or ""."""
    unknown = ""
    try:
        found = await core.all_workspaces()
    except EngineError as error:
        unknown = str(error)
        found = await core.local.list_all()
    places: dict[str, Place] = {}
    async with anyio.create_task_group() as tasks:
        for scope, workspace in found:
            tasks.start_soon(_ask, core, scope, workspace, places)
    return [places[workspace.place] for _, workspace in found], unknown


async def _ask(core: Core, scope: Scope, workspace: Workspace, places: dict[str, Place]) -> None:
    processes: tuple[ProcessInfo, ...] = ()
    unknown = ""
    if workspace.state is WorkspaceState.RUNNING:
        try:
            processes = await processes_in(
                await core.client(workspace), _reference(workspace), scope.chat, {"all": True}
            )
        except (WsError, ExecdProtocolError) as error:
            unknown = str(error)
    places[workspace.place] = Place(scope=scope, workspace=workspace, processes=processes, unknown=unknown)


def _reference(workspace: Workspace) -> PlaceRef:
    address = PlaceAddress(place=workspace.place, container=workspace.container, binary="", directory="", user="")
    return PlaceRef(workspace=workspace.name, address=address, is_running=True)


def show_place(shown: Console, place: Place, now: datetime, *, show_ended: bool) -> None:
    """One workspace and its processes."""
    workspace = place.workspace
    parts = [workspace.kind.value, workspace.state.value, f"tier {workspace.tier}"]
    parts += [part for part in (workspace.image, workspace.sandbox and f"sandbox {workspace.sandbox}") if part]
    parts += [f"on {workspace.hostname}"] if workspace.hostname else []
    parts += [f"port {port.container_port} at {port.url}" for port in workspace.ports]
    parts.append(f"{age_text((now - workspace.created_at).total_seconds())} old")
    shown.line(f"  {workspace.name}: {one_line(', '.join(parts))}")
    if place.unknown:
        shown.line(f"    its processes are unknown now: {place.unknown}", Style.YELLOW)
        return
    if workspace.obstacle:
        shown.line(f"    its processes are unknown now: {workspace.obstacle}", Style.YELLOW)
        return
    if workspace.state is not WorkspaceState.RUNNING:
        shown.line("    provision_workspace starts it again; processes of before are gone", Style.DIM)
        return
    listed = [info for info in place.processes if show_ended or info.state is not ProcessState.ENDED]
    if listed:
        shown.table(HEADERS, [row_of(info, now) for info in listed], shrink=len(HEADERS) - 1, indent="    ")
    hidden = len(place.processes) - len(listed)
    if hidden:
        shown.line(f"    {hidden} ended; --all shows them", Style.DIM)
    elif not listed:
        shown.line("    no processes", Style.DIM)
