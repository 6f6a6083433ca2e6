"""Closes a chat: its processes end, in dev containers, too; its workspaces stop or go, with their data if asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

import anyio

from ws_mcp.core.chats import Chats
from ws_mcp.core.errors import EngineUnavailableError, WsError
from ws_mcp.core.holdings import Holdings
from ws_mcp.core.ids import ProcessId, Scope, WorkspaceName
from ws_mcp.core.processes.model import ProcessState
from ws_mcp.core.workspaces.model import Workspace, WorkspaceState
from ws_mcp.core.workspaces.provisions import Provisions
from ws_mcp.core.workspaces.registry import Workspaces

GRACE_S = 5.0
AT_ONCE = 4  # workspaces: an engine gets no faster with more
LISTED = 1000  # processes
LIVE = (WorkspaceState.RUNNING, WorkspaceState.PAUSED)


class Closing(StrEnum):
    """What becomes of the workspaces of a chat that is closed."""

    STOP = "stop"
    REMOVE = "remove"
    DELETE = "delete"  # with their data; then a chat that was made by provision_workspace is forgotten


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What was done. `failures`: what could not be, in words."""

    workspaces: tuple[WorkspaceName, ...] = ()  # stopped, or removed
    kept_data: tuple[WorkspaceName, ...] = ()
    ended_processes: int = 0
    is_forgotten: bool = False
    failures: tuple[str, ...] = ()


@dataclass(slots=True)
class _Tally:
    workspaces: list[WorkspaceName] = field(default_factory=list[WorkspaceName])
    kept: list[WorkspaceName] = field(default_factory=list[WorkspaceName])
    ended: int = 0
    failures: list[str] = field(default_factory=list[str])


class Closer:
    """Closes chats; each call is about one scope."""

    def __init__(self, chats: Chats, workspaces: Workspaces, provisions: Provisions, holdings: Holdings) -> None:
        self._chats = chats
        self._workspaces = workspaces
        self._provisions = provisions
        self._holdings = holdings

    async def close(self, scope: Scope, how: Closing) -> Closed:
        """Do it; safe to repeat. What fails is said, and the rest is done.

        Raises:
            EngineUnavailableError: what the chat has cannot be told now; nothing was done.
        """
        listing = await self._workspaces.list(scope)
        if listing.unknown:
            raise EngineUnavailableError(f"what this chat has is not known now, so nothing was done: {listing.unknown}")
        tally = _Tally()
        there = {workspace.name: workspace.state for workspace in listing.workspaces}
        await self._end_elsewhere(scope, listing.workspaces, tally)
        names = [name for name, state in there.items() if how is not Closing.STOP or state in LIVE]
        await _each([partial(self._one, scope, name, how, tally) for name in names])
        if how is Closing.DELETE:
            left = [name for owner, name in await self._holdings.volumes() if owner == scope and name not in there]
            await _each([partial(self._one, scope, name, how, tally) for name in left])
        is_forgotten = how is Closing.DELETE and not tally.failures and await self._chats.forget(scope)
        return Closed(
            workspaces=tuple(sorted(tally.workspaces)),
            kept_data=tuple(sorted(tally.kept)),
            ended_processes=tally.ended,
            is_forgotten=is_forgotten,
            failures=tuple(sorted(tally.failures)),
        )

    async def _end_elsewhere(self, scope: Scope, own: Sequence[Workspace], tally: _Tally) -> None:
        """End what runs in dev containers: those outlive the chat. One of them may have the name of a workspace."""
        found = await self._chats.processes(scope).list(ProcessState.RUNNING, LISTED)
        ending = {workspace.place for workspace in own if workspace.state in LIVE}
        others = [info.process for info in found.processes if info.place not in ending]
        await _each([partial(self._end, scope, process, tally) for process in others])
        silent = sorted(set(found.unavailable) - {workspace.name for workspace in own})
        tally.failures += [f"what runs in {name!r} is not known now, and was not ended" for name in silent]

    async def _end(self, scope: Scope, process: ProcessId, tally: _Tally) -> None:
        try:
            await self._chats.processes(scope).signal(process, "TERM", GRACE_S)
            tally.ended += 1
        except WsError as error:
            tally.failures.append(str(error))

    async def _one(self, scope: Scope, name: WorkspaceName, how: Closing, tally: _Tally) -> None:
        try:
            if how is Closing.STOP:
                stopped = await self._provisions.stop(scope, name, restarts=False)
                tally.ended += stopped.ended_processes  # not in one: others count while this one waits
            else:
                removed = await self._provisions.remove(scope, name, keep_volume=how is Closing.REMOVE)
                tally.ended += removed.ended_processes
                tally.kept += [name] if removed.kept_volume else []
            tally.workspaces.append(name)
        except WsError as error:
            tally.failures.append(f"workspace {name!r}: {error}")


async def _each(works: Sequence[Callable[[], Awaitable[None]]]) -> None:
    turns = anyio.Semaphore(AT_ONCE)

    async def one(work: Callable[[], Awaitable[None]]) -> None:
        async with turns:
            await work()

    async with anyio.create_task_group() as tasks:
        for work in works:
            tasks.start_soon(one, work)
