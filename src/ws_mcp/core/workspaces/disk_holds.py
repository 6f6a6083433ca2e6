"""What is remembered of workspaces that were paused for the size of their data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from ws_mcp.core.clock import Now
from ws_mcp.core.ids import ContainerId, PlaceId
from ws_mcp.core.state import State
from ws_mcp.core.stores.port import Sql
from ws_mcp.core.workspaces.disk_plan import DiskHold, hold_of, let_go
from ws_mcp.core.workspaces.model import Workspace, WorkspaceState


class DiskHolds:
    """The same for all servers of an instance, and after a restart."""

    def __init__(self, state: State, now: Now) -> None:
        self._state = state
        self._now = now

    async def all(self) -> Mapping[PlaceId, DiskHold]:
        """By place."""

        def work(db: Sql) -> dict[PlaceId, DiskHold]:
            rows = db.execute("SELECT place, container, size, quota_mib, until, is_final FROM disk_holds")
            return {PlaceId(place): _hold(*row) for place, *row in rows}

        return await self._state.run(work)

    async def keep(self, place: PlaceId, hold: DiskHold) -> None:
        """Remember it in place of what was."""
        until = int(hold.until.timestamp()) if hold.until else 0
        row = (place, hold.container, hold.size_bytes, hold.quota_mib, until, hold.is_final)
        statement = (
            "INSERT INTO disk_holds VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (place) DO UPDATE SET "
            "container = excluded.container, size = excluded.size, quota_mib = excluded.quota_mib, "
            "until = excluded.until, is_final = excluded.is_final"
        )
        await self._state.run(lambda db: db.execute(statement, row))

    async def let_go(self, place: PlaceId) -> None:
        """It goes on for a while."""
        if (hold := (await self.all()).get(place)) is not None:
            await self.keep(place, let_go(hold, self._now()))

    async def forget(self, place: PlaceId) -> None:
        """Its data is within what it may take."""
        await self._state.run(lambda db: db.execute("DELETE FROM disk_holds WHERE place = ?", (place,)))

    async def shown(self, found: tuple[Workspace, ...]) -> tuple[Workspace, ...]:
        """Workspaces as found on the engine; of those that were paused for their data it is said why."""
        if not any(workspace.state is WorkspaceState.PAUSED for workspace in found):
            return found
        holds = await self.all()
        return tuple(_shown(workspace, holds.get(workspace.place)) for workspace in found)


def _hold(container: str, size: int, quota_mib: int, until: int, is_final: int) -> DiskHold:
    return DiskHold(
        container=ContainerId(container),
        size_bytes=size,
        quota_mib=quota_mib,
        until=datetime.fromtimestamp(until, UTC) if until else None,
        is_final=bool(is_final),
    )


def _shown(workspace: Workspace, hold: DiskHold | None) -> Workspace:
    own = hold_of(workspace, hold)
    if workspace.state is not WorkspaceState.PAUSED or own is None:
        return workspace
    return replace(workspace, held=own.reason, notes=(*workspace.notes, own.reason))
