"""How much of what stays there may be: workspaces, their data, running processes, counted from what is there.

So these limits hold over restarts and over all servers of the instance. Two calls of the same moment may both find the
last place free.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable

from ws_mcp.core.errors import LimitError
from ws_mcp.core.holdings import Holdings
from ws_mcp.core.ids import Scope
from ws_mcp.core.policy.limits import LimitsNow
from ws_mcp.core.workspaces.model import WorkspaceSpec, WorkspaceState


class Ceilings:
    """Says no to one more, where there are as many as may be at this moment."""

    def __init__(self, limits: LimitsNow, holdings: Holdings) -> None:
        self._limits = limits
        self._world = holdings

    async def check_workspace(self, scope: Scope, spec: WorkspaceSpec) -> None:
        """Whether one more workspace may be made; one that is there may be changed.

        Raises:
            LimitError
        """
        limits = self._limits()
        if limits is None:
            return
        found = await self._world.workspaces()
        if any(scope == owner and spec.name == workspace.name for owner, workspace in found):
            return
        times = limits.principal_times
        by_whom = _counted(scope for scope, _ in found)
        remedy = "remove one with remove_workspace"
        _check("workspaces", by_whom[scope.principal], limits.workspaces * times, "one principal", remedy)
        _check("all_workspaces", len(found), limits.all_workspaces, "this server", f"{remedy}, or ask the operator")
        if spec.has_volume is not False:
            volumes = _counted(
                owner for owner, name in await self._world.volumes() if (owner, name) != (scope, spec.name)
            )
            remedy = "remove_workspace with keep_data=false removes the data of a workspace, also of a removed one"
            _check("volumes", volumes[scope], limits.volumes, "one chat", remedy)
            _check("volumes", volumes[scope.principal], limits.volumes * times, "one principal", remedy)

    async def check_process(self, scope: Scope) -> None:
        """Whether one more process may be started, beside the limit of the chat itself.

        Raises:
            LimitError
        """
        limits = self._limits()
        if limits is None:
            return
        found = [each for each in await self._world.workspaces() if each[1].state is WorkspaceState.RUNNING]
        own = [each for each in found if each[0].principal == scope.principal]
        remedy = "end some with signal_process or wait until they end"
        of_principal = (own, "processes", limits.processes * limits.principal_times, "one principal")
        for there, limit, most, whose in (of_principal, (found, "all_processes", limits.all_processes, "this server")):
            # Where as many chats as there are could not reach it nobody needs to be asked.
            if len({scope for scope, _ in there}) * limits.processes > most:
                running = await self._world.running(workspace for _, workspace in there)
                _check(limit, running, most, whose, remedy)


def _counted(scopes: Iterable[Scope]) -> Counter[Hashable]:
    counts: Counter[Hashable] = Counter()
    for scope in scopes:
        counts[scope] += 1
        counts[scope.principal] += 1
    return counts


def _check(limit: str, there: int, most: int, whose: str, remedy: str) -> None:
    if there >= most:
        raise LimitError(f"the limit `{limit}` is {most} for {whose}, and there are {there}: {remedy}")
