"""Provisions as work of the server: equal calls share one, and one that takes long is come back to."""

from __future__ import annotations

from ws_mcp.core.ids import Scope, WorkspaceName
from ws_mcp.core.jobs import JobRequest, Jobs, StillRunning
from ws_mcp.core.workspaces.builder import Report
from ws_mcp.core.workspaces.model import Ask, Pending, Provisioned, Removed, Stopped, WorkspaceSpec
from ws_mcp.core.workspaces.recipe import wish_digest
from ws_mcp.core.workspaces.registry import Workspaces


class Provisions:
    """What changes workspaces, one thing at a time for each. Every call takes the scope."""

    def __init__(self, workspaces: Workspaces, jobs: Jobs, key: bytes) -> None:
        self._workspaces = workspaces
        self._jobs = jobs
        self._key = key

    async def provision(self, scope: Scope, spec: WorkspaceSpec, ask: Ask, report: Report) -> Provisioned | Pending:
        """See `Workspaces.provision`; a call that waited long enough is told how far it is."""
        request = JobRequest(
            key=_key_of(scope, spec.name),
            digest=f"{wish_digest(self._key, spec)} {ask.replace} {ask.is_dry_run} {ask.request_key}",
            what=f"workspace {spec.name!r}",
        )

        async def work(told: Report) -> Provisioned:
            made = await self._workspaces.provision(scope, spec, ask, told)
            await self._workspaces.looked_again()
            return made

        done = await self._jobs.run(request, work, report)
        if isinstance(done, StillRunning):
            return Pending(phase=done.phase, elapsed_s=done.elapsed_s)
        return done

    async def stop(self, scope: Scope, name: WorkspaceName, *, restarts: bool) -> Stopped:
        """See `Workspaces.stop`."""
        self._jobs.forget(_key_of(scope, name))
        stopped = await self._workspaces.stop(scope, name, restarts=restarts)
        await self._workspaces.looked_again()
        return stopped

    async def remove(self, scope: Scope, name: WorkspaceName, *, keep_volume: bool) -> Removed:
        """See `Workspaces.remove`."""
        self._jobs.forget(_key_of(scope, name))
        removed = await self._workspaces.remove(scope, name, keep_volume=keep_volume)
        await self._workspaces.looked_again()
        return removed


def _key_of(scope: Scope, name: WorkspaceName) -> str:
    return f"{scope.principal}\0{scope.chat}\0{name}"
