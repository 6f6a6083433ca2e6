"""Which calls a person is to confirm, and in which words: root on the host, and what ends processes or removes data.

A question names exactly what would be done, so that a yes to one is none to another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ws_mcp.core.errors import WsError, one_line
from ws_mcp.core.ids import Scope
from ws_mcp.core.processes.model import ProcessState
from ws_mcp.core.workspaces.model import Replace, Workspace
from ws_mcp.edge.core_port import Core
from ws_mcp.edge.identity import Identity
from ws_mcp.edge.options import Options

HOST_TIER = 3  # from here on a workspace is root on the host
ALL = "*"
LISTED = 1000  # processes that are counted
NAME = 80  # characters of a name in a question


class Questions:
    """Looks at what a call is about; an empty text: nothing to ask."""

    def __init__(self, core: Core, identity: Identity) -> None:
        self._core = core
        self._identity = identity

    async def provision(self, known: Mapping[str, object]) -> str:
        """Of a workspace that is root on the host, or that is made anew though processes run in it."""
        options = cast("Options | None", known["options"]) or Options()
        name, tier = str(known["name"]), cast("int | None", known["tier"]) or 0
        if options.dry_run or (tier < HOST_TIER and options.replace is not Replace.ALWAYS):
            return ""
        scope = await self._scope(known)
        found = await self._found(scope, name)
        if tier >= HOST_TIER and (found is None or found.tier < tier):
            return f"Give the workspace {_quoted(name)} tier {tier}? It is root on the host of the container engine."
        running = await self._running(scope, name) if options.replace is Replace.ALWAYS else 0
        return f"Make the workspace {_quoted(name)} anew, if it differs? {_ends(running)}" if running else ""

    async def recreate(self, known: Mapping[str, object]) -> str:
        """Of a dev container in which processes of the chat run."""
        if known["dry_run"]:
            return ""
        listing = await self._core.devcontainers.list()
        found = listing.named(str(known["name"])) if known["name"] else None
        if found is None and known["folder"]:
            found = next((each for each in listing.devcontainers if each.key.folder == known["folder"]), None)
        if found is None:
            return ""
        running = await self._running(await self._scope(known), found.name)
        return f"Make the dev container {_quoted(found.name)} anew? {_ends(running)}" if running else ""

    async def remove(self, known: Mapping[str, object]) -> str:
        """Of a workspace with its data, or in which processes run."""
        name, keeps = str(known["name"]), bool(known["keep_data"])
        running = await self._running(await self._scope(known), name)
        if keeps and not running:
            return ""
        what = "all workspaces of this chat" if name == ALL else f"the workspace {_quoted(name)}"
        data = "" if keeps else " with all its files"
        return f"Remove {what}{data}? {_ends(running)}"

    async def _scope(self, known: Mapping[str, object]) -> Scope | None:
        try:
            return (await self._identity.caller(str(known["chat"]))).scope if known["chat"] != "new" else None
        except WsError:
            return None  # the call itself says what is wrong, or makes a chat

    async def _found(self, scope: Scope | None, name: str) -> Workspace | None:
        if scope is None:
            return None
        listing = await self._core.workspaces(scope)
        return next((workspace for workspace in listing.workspaces if workspace.name == name), None)

    async def _running(self, scope: Scope | None, name: str) -> int:
        if scope is None:
            return 0
        found = await self._core.processes(scope).list(ProcessState.RUNNING, LISTED)
        return sum(name in (ALL, info.workspace) for info in found.processes)


def _quoted(name: str) -> str:
    return repr(one_line(name, NAME))


def _ends(running: int) -> str:
    return f"That ends {running} running process{'' if running == 1 else 'es'}." if running else "Nothing runs in it."
